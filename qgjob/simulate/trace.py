"""Traces: what came when, and how long it took. The format is in docs/simulate.md."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bus_schemas.base import is_label
from bus_schemas.jobs import priority_class
from bus_schemas.subjects import PriorityClass
from qgjob.domain.priorities import PRIORITY_WORDS
from qgjob.errors import UsageError

REQUIRED: Final = ("arrival_s", "app_version_id", "test", "duration_s", "priority")
OPTIONAL: Final = ("target", "org_id")
MAX_JOBS: Final = 2_000_000
_MAX_SECONDS: Final = 1e10
"""Beyond it seconds get lost in rounding; the seconds since 1970 are below."""
_NO_COLUMN: Final = "\0"  # where cells go for which the first line has no name


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One job of a trace; times in seconds from the trace's own zero."""

    arrival_s: float
    app_version_id: str
    test: str
    duration_s: float
    priority: int = 5
    target: str | None = None
    org_id: str = "org"

    @property
    def level(self) -> PriorityClass:
        """Its class of priority."""
        return priority_class(self.priority)

    @property
    def build(self) -> tuple[str, str]:
        """(organisation, app version)."""
        return (self.org_id, self.app_version_id)


def read_trace(path: Path) -> list[TraceJob]:
    """The jobs of a CSV file, by arrival; raises `UsageError` naming the line and column that are wrong."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return by_arrival(_jobs(file, path.name))
    except FileNotFoundError:
        raise UsageError(f"The trace {path} does not exist.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The trace {path} is not text in UTF-8.") from None
    except OSError as error:
        raise UsageError(f"The trace {path} cannot be read: {error.strerror}.") from None


def by_arrival(jobs: Iterable[TraceJob]) -> list[TraceJob]:
    """In the order of their coming; what comes at the same moment stays in its order."""
    return sorted(jobs, key=lambda job: job.arrival_s)


def write_trace(jobs: Sequence[TraceJob], path: Path) -> None:
    """Write jobs as a CSV file that `read_trace` reads back; raises `UsageError` when it cannot."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*REQUIRED, *OPTIONAL])
            writer.writerows(
                [
                    f"{job.arrival_s:.3f}",
                    job.app_version_id,
                    job.test,
                    f"{job.duration_s:.3f}",
                    job.priority,
                    job.target or "",
                    job.org_id,
                ]
                for job in jobs
            )
    except OSError as error:
        raise UsageError(f"The trace {path} cannot be written: {error.strerror}.") from None


def _jobs(lines: Iterable[str], name: str) -> Iterator[TraceJob]:
    reader = csv.DictReader(lines, restkey=_NO_COLUMN, strict=True)
    columns = reader.fieldnames or ()
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise UsageError(
            f"{name} has no column {missing[0]}.",
            hint=f"Its first line must name {', '.join(REQUIRED)}; {' and '.join(OPTIONAL)} may follow.",
        )
    count = 0
    try:
        for count, row in enumerate(reader, 1):
            if count > MAX_JOBS:
                raise UsageError(f"{name} has more than {MAX_JOBS:,} jobs.")
            yield _job(row)
    except _CellError as error:
        raise UsageError(f"{name}, line {reader.line_num}, column {error.column}: {error}.") from None
    except csv.Error as error:
        raise UsageError(f"{name}, line {reader.reader.line_num}: {error}.") from None
    if not count:
        raise UsageError(f"{name} has no jobs.")


class _CellError(ValueError):
    def __init__(self, column: str, what: str) -> None:
        super().__init__(what)
        self.column = column


def _job(row: dict[str, str | None]) -> TraceJob:
    if _NO_COLUMN in row:
        raise _CellError(str(len(row)), "there are more cells than the first line names")
    return TraceJob(
        arrival_s=_seconds(row, "arrival_s"),
        app_version_id=_cell(row, "app_version_id"),
        test=_cell(row, "test"),
        duration_s=_seconds(row, "duration_s"),
        priority=_priority(_cell(row, "priority")),
        target=_target(row.get("target") or ""),
        org_id=row.get("org_id") or "org",
    )


def _cell(row: dict[str, str | None], column: str) -> str:
    text = row[column]
    if text is None:
        raise _CellError(column, "the line ends before it")
    if not text:
        raise _CellError(column, "it is empty")
    return text


def _seconds(row: dict[str, str | None], column: str) -> float:
    text = _cell(row, column)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise _CellError(column, f"{text!r} is not a number of seconds")
    if value > _MAX_SECONDS:
        raise _CellError(column, f"{text!r} is more than {_MAX_SECONDS:,.0f} seconds")
    return value


def _priority(text: str) -> int:
    number = PRIORITY_WORDS.get(text.strip().lower()) or (int(text[:6]) if text.isdecimal() else 0)
    if not 1 <= number <= 10:
        raise _CellError("priority", f"{text!r} is neither 1 to 10 nor high, medium or low")
    return number


def _target(text: str) -> str | None:
    if text and not is_label(text):
        raise _CellError("target", f"{text!r} is not a label")
    return text or None
