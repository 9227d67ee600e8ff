"""The result of each file of a shard, from the cases of its report. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.runners.base import CaseResult, CaseStatus
from bus_schemas.cases import CaseOutcome
from bus_schemas.events import FileResult

MAX_BYTES: Final = 24 * 1024
"""Of all files of an attempt: they travel in its end, which must stay below a message's limit."""
_FRAME_BYTES: Final = 70
_LONGEST_S: Final = 1e8
"""What a report may say that all cases of a file took: more would not be a duration to the event."""
_WORST_FIRST: Final[tuple[tuple[CaseStatus, CaseOutcome], ...]] = (
    # Infrastructure errors end the whole attempt: an error in a report is the test's own.
    (CaseStatus.ERROR, "failed"),
    (CaseStatus.FAILED, "failed"),
    (CaseStatus.PASSED, "passed"),
    (CaseStatus.SKIPPED, "skipped"),
)


def file_results(cases: Sequence[CaseResult], files: Sequence[str]) -> tuple[tuple[FileResult, ...], int]:
    """Results of those files of which the report has cases, longest first, and how many did not fit.

    A report names a file in its own way (from the folder of a configuration, or absolute): the longest
    common end decides, if it is one file's alone. An error while collecting is the file's failure.
    """
    whose = _Names(files)
    found: dict[str, list[CaseResult]] = {}
    for case in cases:
        file = whose.find(case.file) if case.file else None
        if file is not None:
            found.setdefault(file, []).append(case)
    results = [_result(file, some) for file, some in found.items()]
    results.sort(key=lambda result: (-result.duration_s, result.file))
    room = MAX_BYTES
    kept: list[FileResult] = []
    for result in results:
        room -= len(result.file.encode("utf-8", "replace")) + _FRAME_BYTES
        if room < 0:
            break
        kept.append(result)
    return tuple(kept), len(results) - len(kept)


def _result(file: str, cases: Sequence[CaseResult]) -> FileResult:
    statuses = {case.status for case in cases}
    outcome: CaseOutcome = next(word for status, word in _WORST_FIRST if status in statuses)
    return FileResult(
        file=file,
        outcome=outcome,
        duration_s=round(min(sum(max(case.duration_s, 0.0) for case in cases), _LONGEST_S), 3),
        flaky=outcome == "passed" and any(case.flaky for case in cases),
    )


class _Names:
    """Finds the file that a report means."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = frozenset(files)
        self._by_name: dict[str, list[str]] = {}
        for file in files:
            self._by_name.setdefault(file.rpartition("/")[2], []).append(file)
        self._known: dict[str, str | None] = {}

    def find(self, named: str) -> str | None:
        if named in self._files:
            return named
        if named not in self._known:
            self._known[named] = self._look(named.replace("\\", "/").removeprefix("./"))
        return self._known[named]

    def _look(self, named: str) -> str | None:
        parts = named.split("/")
        best: list[str] = []
        longest = 0
        for file in self._by_name.get(parts[-1], ()):
            common = _common_end(parts, file.split("/"))
            if common > longest:
                best, longest = [file], common
            elif common == longest:
                best.append(file)
        return best[0] if len(best) == 1 else None


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
