"""Why a job failed, in a few lines: what its failed cases say, or else the end of its output. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bus_schemas.cases import CaseRecord
from qgjob.domain.wording import shorten
from qgjob.report.plain import plain

JUNIT_LINES: Final = 40
MAX_BYTES: Final = 8 * 1024
"""Of one job, as UTF-8: what a person reads of it, and what a hundred of them may add to a report."""
_LINE: Final = 1000


def failed_cases(cases: Iterable[CaseRecord]) -> list[CaseRecord]:
    """The cases that say why they did not pass."""
    return [case for case in cases if case.outcome in {"failed", "errored"} and case.message]


def excerpt(cases: Sequence[CaseRecord], output: str, *, lines: int, max_bytes: int = MAX_BYTES) -> str:
    """At most so many lines and bytes of the failed cases' messages, or without any of the output's end.

    Nothing in it would move a cursor. Empty when neither tells anything.
    """
    failed = failed_cases(cases)
    if failed:
        return "\n".join(_limited(_case_lines(failed), lines, max_bytes))
    return last_lines(output, lines=lines, max_bytes=max_bytes)


def last_lines(output: str, *, lines: int, max_bytes: int = MAX_BYTES) -> str:
    """The end of an output as a terminal would have shown it, without blank lines around it."""
    shown = [_as_displayed(line) for line in output.replace("\r\n", "\n").rstrip().split("\n")[-lines:]]
    kept = list(_limited(reversed(shown), lines, max_bytes))
    return "\n".join(reversed(kept)).strip("\n")


def first_lines(text: str, *, lines: int, max_bytes: int = MAX_BYTES) -> str:
    """The beginning of a message."""
    shown = (_as_displayed(line) for line in text.replace("\r\n", "\n").strip("\n").split("\n"))
    return "\n".join(_limited(shown, lines, max_bytes))


def _case_lines(cases: Sequence[CaseRecord]) -> Iterator[str]:
    for place, case in enumerate(cases):
        if place:
            yield ""
        where = f" ({case.file}:{case.line})" if case.file and case.line else ""
        yield _as_displayed(f"{case.suite} › {case.name}{where}" if case.suite else f"{case.name}{where}")
        message = (case.message or "").replace("\r\n", "\n").strip("\n").split("\n")
        yield from (f"  {_as_displayed(line)}" for line in message)


def _as_displayed(line: str) -> str:
    """A line without colours; of a redrawn progress bar, its last state."""
    drawn = [part for part in line.split("\r") if part.strip()]
    text = plain(drawn[-1] if drawn else "").replace("\n", " ").rstrip()
    return shorten(text, _LINE)


def _limited(lines: Iterable[str], count: int, max_bytes: int) -> Iterator[str]:
    """The first lines within both limits; of the very first at least its beginning."""
    room = max_bytes
    for number, line in enumerate(lines):
        size = len(line.encode()) + 1
        if number == count or (number and size > room):
            return
        yield line if size <= room else line.encode()[:max_bytes].decode(errors="ignore")
        room -= size
