"""Why each slot does not run a job now, slots with the same reason together. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bus_schemas.explain import SlotsWhy, SlotWhyKind
from bus_schemas.jobs import labels_of
from qgjob.domain.placement.model import Job, LabState, Slot
from qgjob.domain.placement.queue_position import fairness_reason

MAX_REASONS: Final = 40
MAX_NAMES: Final = 5
"""How many slots with the same reason are named."""
_NEAREST_FIRST: Final[tuple[SlotWhyKind, ...]] = (
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


class SlotReason(NamedTuple):
    """Why one slot does not run the job now."""

    slot: str
    kind: SlotWhyKind
    why: str
    missing: tuple[str, ...] = ()
    """Labels that the job needs and the slot lacks."""
    free_at: float | None = None
    """When the slot could take the job at the earliest; None: never, or unknown."""
    has_build: bool = False
    resume: str | None = None
    """What an operator would resume, when it is held."""


@dataclass(slots=True)
class SlotExplainer:
    """Explains of each slot why it does not run a job; its fields are the same for all slots."""

    state: LabState
    job: Job
    now: float
    gated: bool
    """Something keeps the job from starting, whatever slot is free."""
    first: bool
    """Nothing in its group goes before it."""
    orgs_ahead: list[str] = field(default_factory=list[str])
    """Organisations whose work goes first, as they have less than their share."""
    labels: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.labels = labels_of(self.job.group.capability)

    def explain(self, slot: Slot) -> SlotReason:
        """Why a slot does not run the job now."""
        state, job = self.state, self.job
        key = job.group
        has_build = (key.org_id, key.app_version_id) in slot.installed
        missing = tuple(sorted(self.labels - slot.labels))
        if missing:
            return SlotReason(slot.name, "labels", f"it lacks {', '.join(missing)}", missing)
        withheld = state.withheld.get(slot.name)
        if withheld is not None:
            resume = withheld.resume or slot.name
            return SlotReason(slot.name, "held", withheld.why, (), withheld.until, has_build, resume)
        if not slot.accepting:
            return SlotReason(slot.name, "out_of_order", slot.note or "its agent says that it takes nothing")
        if slot.name in job.avoid and self._has_alternative():
            why = "an earlier attempt met an infrastructure error there, and other slots will do"
            return SlotReason(slot.name, "avoided", why, (), None, has_build)
        if slot.assigned or slot.name not in state.free:
            own_build = slot.bound == key or has_build
            why = "it is busy with this build" if own_build else "it is busy with another build"
            return SlotReason(slot.name, "busy", why, (), max(self.now, slot.free_at), has_build)
        kind, why = self._explain_idle(slot, has_build=has_build)
        return SlotReason(slot.name, kind, why, (), self.now, has_build)

    def _explain_idle(self, slot: Slot, *, has_build: bool) -> tuple[SlotWhyKind, str]:
        if self.gated:
            return "free", "it could take the job at once"
        if self.orgs_ahead:
            return "other_work", fairness_reason(self.orgs_ahead)
        if not self.first or has_build:
            return "other_work", "other jobs go first there"
        group = self.state.groups.get(self.job.group)
        others = 0 if group is None else len(group.slots - {slot.name})
        if others:
            return (
                "kept_free",
                f"the build would have to be installed there, and {_slots(others)} work on it already",
            )
        return "other_work", "the build would have to be installed there, and other jobs go first"

    def _has_alternative(self) -> bool:
        """Whether a slot could run the job that the job does not avoid."""
        labels, avoid = self.labels, self.job.avoid
        return any(
            slot.available and labels <= slot.labels and slot.name not in avoid
            for slot in self.state.slots.values()
        )


def group_reasons(reasons: Iterable[SlotReason]) -> tuple[SlotsWhy, ...]:
    """Slots with the same reason together, those nearest to running the job first; at most 40 reasons."""
    by_reason: dict[tuple[SlotWhyKind, str], list[SlotReason]] = {}
    for reason in reasons:
        by_reason.setdefault((reason.kind, reason.why), []).append(reason)
    rows = [_row(alike) for alike in by_reason.values()]
    rows.sort(key=lambda row: (_NEAREST_FIRST.index(row.kind), len(row.missing), -row.count, row.slots))
    shown, rest = rows[:MAX_REASONS], rows[MAX_REASONS:]
    if rest:
        count = sum(row.count for row in rest)
        shown.append(SlotsWhy(kind=rest[0].kind, why="for one of some further reasons", count=count))
    return tuple(shown)


def _row(alike: list[SlotReason]) -> SlotsWhy:
    free_at = [reason.free_at for reason in alike if reason.free_at is not None]
    names = sorted(reason.slot for reason in alike)
    return SlotsWhy(
        kind=alike[0].kind,
        why=alike[0].why[:4000],
        count=len(alike),
        slots=tuple(names[:MAX_NAMES]),
        missing=alike[0].missing,
        free_at=min(free_at, default=None),
    )


def _slots(count: int) -> str:
    return "another slot" if count == 1 else f"{count} slots"
