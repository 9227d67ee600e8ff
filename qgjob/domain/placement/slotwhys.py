"""Why each slot does not run a job now, slots with the same reason together. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bus_schemas.explain import SlotsWhy, SlotWhyKind
from bus_schemas.jobs import labels_of
from qgjob.domain.placement.model import Job, LabState, Slot
from qgjob.domain.placement.turns import fairness

MAX_REASONS: Final = 40
SOME: Final = 5
"""Names that are given of slots with the same reason."""
_NEAREST: Final[tuple[SlotWhyKind, ...]] = (
    "chosen",
    "free",
    "other_work",
    "kept_free",
    "busy",
    "avoided",
    "held",
    "out_of_order",
    "labels",
)


class SlotWhy(NamedTuple):
    """Why one slot does not run the job now."""

    slot: str
    kind: SlotWhyKind
    why: str
    missing: tuple[str, ...] = ()
    free_at: float | None = None
    has_build: bool = False
    resume: str | None = None
    """What an operator would resume, when it is held."""


@dataclass(slots=True)
class Question:
    """What is the same for all slots."""

    state: LabState
    job: Job
    now: float
    gated: bool
    """Something keeps the job from starting, whatever slot is free."""
    first: bool
    """Nothing in its group goes before it."""
    orgs: list[str] = field(default_factory=list[str])
    """Organisations whose work goes first, as they have less than their share."""
    labels: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.labels = labels_of(self.job.group.capability)

    def why(self, slot: Slot) -> SlotWhy:
        """Why a slot does not run the job now."""
        state, job = self.state, self.job
        key = job.group
        has_build = (key.org_id, key.app_version_id) in slot.installed
        missing = tuple(sorted(self.labels - slot.labels))
        if missing:
            return SlotWhy(slot.name, "labels", f"it lacks {', '.join(missing)}", missing)
        withheld = state.withheld.get(slot.name)
        if withheld is not None:
            resume = withheld.resume or slot.name
            return SlotWhy(slot.name, "held", withheld.why, (), withheld.until, has_build, resume)
        if not slot.open:
            return SlotWhy(slot.name, "out_of_order", slot.note or "its agent says that it takes nothing")
        if slot.name in job.avoid and self._elsewhere():
            why = "an earlier attempt met an infrastructure error there, and other slots will do"
            return SlotWhy(slot.name, "avoided", why, (), None, has_build)
        if slot.held or slot.name not in state.free:
            mine = slot.bound == key or has_build
            why = "it is busy with this build" if mine else "it is busy with another build"
            return SlotWhy(slot.name, "busy", why, (), max(self.now, slot.until), has_build)
        return self._idle(slot, has_build)

    def _idle(self, slot: Slot, has_build: bool) -> SlotWhy:
        if self.gated:
            return SlotWhy(slot.name, "free", "it could take the job at once", (), self.now, has_build)
        if self.orgs:
            return SlotWhy(slot.name, "other_work", fairness(self.orgs), (), self.now, has_build)
        if not self.first or has_build:
            return SlotWhy(slot.name, "other_work", "other jobs go first there", (), self.now, has_build)
        group = self.state.groups.get(self.job.group)
        others = 0 if group is None else len(group.slots - {slot.name})
        if others:
            why = f"the build would have to be installed there, and {_slots(others)} work on it already"
            return SlotWhy(slot.name, "kept_free", why, (), self.now, has_build)
        why = "the build would have to be installed there, and other jobs go first"
        return SlotWhy(slot.name, "other_work", why, (), self.now, has_build)

    def _elsewhere(self) -> bool:
        labels, avoid = self.labels, self.job.avoid
        return any(
            slot.available and labels <= slot.labels and slot.name not in avoid
            for slot in self.state.slots.values()
        )


def gathered(whys: Iterable[SlotWhy]) -> tuple[SlotsWhy, ...]:
    """Slots with the same reason together, those nearest to running the job first; at most 40 reasons."""
    together: dict[tuple[SlotWhyKind, str], list[SlotWhy]] = {}
    for why in whys:
        together.setdefault((why.kind, why.why), []).append(why)
    rows = [_row(alike) for alike in together.values()]
    rows.sort(key=lambda row: (_NEAREST.index(row.kind), len(row.missing), -row.count, row.slots))
    shown, rest = rows[:MAX_REASONS], rows[MAX_REASONS:]
    if rest:
        count = sum(row.count for row in rest)
        shown.append(SlotsWhy(kind=rest[0].kind, why="for one of some further reasons", count=count))
    return tuple(shown)


def _row(alike: list[SlotWhy]) -> SlotsWhy:
    free = [why.free_at for why in alike if why.free_at is not None]
    names = sorted(why.slot for why in alike)
    return SlotsWhy(
        kind=alike[0].kind,
        why=alike[0].why[:4000],
        count=len(alike),
        slots=tuple(names[:SOME]),
        missing=alike[0].missing,
        free_at=min(free, default=None),
    )


def _slots(count: int) -> str:
    return "another slot" if count == 1 else f"{count} slots"
