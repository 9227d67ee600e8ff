"""Traces: what came when, and how long it took. The format is in docs/simulate.md."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bus_schemas.jobs import priority_class
from bus_schemas.subjects import PriorityClass
from qgjob.errors import UsageError

REQUIRED: Final = ("arrival_s", "app_version_id", "test", "duration_s", "priority")
CLASS_NUMBERS: Final[dict[str, int]] = {"high": 9, "medium": 5, "low": 2}
MAX_JOBS: Final = 2_000_000


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
    """The jobs of a CSV file, by arrival; raises `UsageError` naming the line that is wrong."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return sorted(_jobs(file, path.name), key=lambda job: job.arrival_s)
    except FileNotFoundError:
        raise UsageError(f"The trace {path} does not exist.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"The trace {path} cannot be read: {error}.") from None


def write_trace(jobs: Iterable[TraceJob], path: Path) -> None:
    """Write jobs as a CSV file that `read_trace` reads back."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*REQUIRED, "target", "org_id"])
        for job in jobs:
            writer.writerow(
                [
                    f"{job.arrival_s:.3f}",
                    job.app_version_id,
                    job.test,
                    f"{job.duration_s:.3f}",
                    job.priority,
                    job.target or "",
                    job.org_id,
                ]
            )


def _jobs(lines: Iterable[str], name: str) -> Iterator[TraceJob]:
    reader = csv.DictReader(lines)
    missing = [column for column in REQUIRED if column not in (reader.fieldnames or ())]
    if missing:
        raise UsageError(
            f"{name} has no column {missing[0]}.", hint=f"Its first line must name {', '.join(REQUIRED)}."
        )
    for count, row in enumerate(reader, 1):
        if count > MAX_JOBS:
            raise UsageError(f"{name} has more than {MAX_JOBS:,} jobs.")
        try:
            yield _job(row)
        except ValueError as error:
            raise UsageError(f"{name}, line {reader.line_num}: {error}.") from None
    if reader.line_num <= 1:
        raise UsageError(f"{name} has no jobs.")


def _job(row: dict[str, str | None]) -> TraceJob:
    arrival, duration = _seconds(row, "arrival_s"), _seconds(row, "duration_s")
    if not row["app_version_id"]:
        raise ValueError("app_version_id is empty")
    return TraceJob(
        arrival_s=arrival,
        app_version_id=row["app_version_id"],
        test=row["test"] or "",
        duration_s=duration,
        priority=_priority(row["priority"] or ""),
        target=row.get("target") or None,
        org_id=row.get("org_id") or "org",
    )


def _seconds(row: dict[str, str | None], column: str) -> float:
    text = row[column] or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{column} is {text!r}, not a number of seconds")
    return value


def _priority(text: str) -> int:
    number = CLASS_NUMBERS.get(text) or (int(text) if text.isdecimal() else 0)
    if not 1 <= number <= 10:
        raise ValueError(f"priority is {text!r}, neither 1 to 10 nor high, medium or low")
    return number
