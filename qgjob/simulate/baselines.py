"""What labs use today, as policies of the same core: to compare with."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from qgjob.domain.placement import policy
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import Job, LabState, Slot
from qgjob.domain.placement.policy import Choice, Chooser

Ranked = list[tuple[Group, Job]]


def fifo(state: LabState, now: float) -> Choice | None:
    """Most urgent first, then oldest, on the device that is idle for longest."""
    del now
    for group, job in _ranked(state):
        if slots := _able_slots(state, group):
            slot = min(slots, key=lambda s: (s.last_used, s.name))
            return slot, group, job, "first come, first served"
    return None


def sticky(state: LabState, now: float) -> Choice | None:
    """Most urgent first; within that the installed build, else the oldest."""
    del now
    ranked = _ranked(state)
    for urgency in dict.fromkeys(job.level for _, job in ranked):
        level = [(group, job) for group, job in ranked if job.level == urgency]
        for group, job in level:
            for slot in _able_slots(state, group):
                if group.build in slot.installed:
                    return slot, group, job, "the build is installed there"
        for group, job in level:
            if slots := _able_slots(state, group):
                return min(slots, key=lambda s: (s.last_used, s.name)), group, job, "the oldest"
    return None


def lava(seed: int) -> Chooser:
    """A policy as LAVA's: by priority, then age, on a random device that can run the job."""
    rng = random.Random(seed)  # noqa: S311 - a simulation

    def choose(state: LabState, now: float) -> Choice | None:
        del now
        for group, job in _ranked(state):
            if slots := _able_slots(state, group):
                return rng.choice(sorted(slots, key=lambda s: s.name)), group, job, "a random device"
        return None

    return choose


POLICIES: Final[dict[str, Callable[[int], Chooser]]] = {
    "qgjob": lambda _: policy.choose,
    "sticky": lambda _: sticky,
    "fifo": lambda _: fifo,
    "lava": lava,
}
"""By name; each is made with a seed."""


def _ranked(state: LabState) -> Ranked:
    heads = [(group, head) for group in state.active.values() if (head := group.head())]
    return sorted(heads, key=lambda entry: (-entry[1].priority, entry[1].arrived_at, entry[1].order))


def _able_slots(state: LabState, group: Group) -> list[Slot]:
    return [slot for slot in state.free.values() if not slot.assigned and group.labels <= slot.labels]
