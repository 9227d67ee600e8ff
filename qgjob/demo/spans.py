"""Time spans of what each slot did: the drawings and the replay are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bus_schemas.queries import JobView


@dataclass(frozen=True, slots=True)
class Span:
    """A slot was installing a build, or running a test of it. Times are seconds of one clock."""

    slot: str
    version: str
    kind: Literal["install", "test"]
    began: float
    ended: float
    failed: bool = False
    """A test that did not pass."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One character of a timeline."""

    version: str
    installing: bool
    failed: bool


def spans_of(jobs: Iterable[JobView], now: float) -> list[Span]:
    """What the attempts of these jobs say, in order of time; what still goes on ends `now`."""
    tries = [
        (attempt.started_at, attempt, job)
        for job in jobs
        for attempt in job.attempts
        if attempt.started_at is not None and attempt.slot is not None
    ]
    spans: list[Span] = []
    holds: dict[str, str] = {}
    for began, attempt, job in sorted(tries, key=lambda item: item[0]):
        slot, version = f"{attempt.agent}/{attempt.slot}", job.app_version_id
        ended = attempt.finished_at or max(now, began)
        # Whether it installs is said when the test begins; until then what the slot held tells.
        preparing = attempt.running_at is None and attempt.outcome is None and job.state == "preparing"
        installing = attempt.installed or (preparing and holds.get(slot) != version)
        tested = began if not installing else attempt.running_at or ended
        holds[slot] = version
        if tested > began:
            spans.append(Span(slot, version, "install", began, tested))
        if ended > tested:
            failed = attempt.outcome is not None and attempt.outcome != "passed"
            spans.append(Span(slot, version, "test", tested, ended, failed))
    return spans


def slots_in(spans: Iterable[Span]) -> list[str]:
    """The slots, by name."""
    return sorted({span.slot for span in spans})


def timeline(spans: Sequence[Span], began: float, per_cell_s: float, width: int) -> list[Cell | None]:
    """A slot's spans as characters: each shows what filled most of its time, None is idle.

    A failed test shows in the character in which it ended, however short it was.
    """
    cells: list[Cell | None] = []
    for number in range(width):
        start = began + number * per_cell_s
        end = start + per_cell_s
        inside = [(min(span.ended, end) - max(span.began, start), span) for span in spans]
        length, span = max(inside, key=lambda item: item[0], default=(0.0, None))
        busy = sum(length for length, _ in inside if length > 0)
        if span is None or length <= 0 or busy < per_cell_s / 2:
            cells.append(None)
        else:
            cells.append(Cell(span.version, span.kind == "install", failed=False))
    for span in spans:
        place = int((span.ended - began) / per_cell_s)
        if span.failed and 0 <= place < width:
            cells[place] = Cell(span.version, installing=False, failed=True)
    while cells and cells[-1] is None:
        cells.pop()
    return cells
