"""The result of each file of a shard, from the cases of its report. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.runners.base import CaseResult, CaseStatus
from bus_schemas.cases import CaseOutcome
from bus_schemas.events import FileResult
from qgjob.domain.testfiles import FileNames

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

    An error while collecting is the file's failure.
    """
    whose = FileNames(files)
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
