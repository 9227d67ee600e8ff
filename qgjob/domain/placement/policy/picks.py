"""Which job of a group goes next, and which slot it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qgjob.domain.placement.groups import Group, Queue
from qgjob.domain.placement.model import Job, LabState, Slot
from qgjob.domain.placement.policy.view import Choice, View

_LONGEST: Final = 4.0
"""At the end of a backlog, the longest test goes first once all that waits takes so many times its length."""
_LOOKED_AT: Final = 16


def give(
    view: View, slot: Slot, group: Group, because: str, *, level: int | None = None, job: Job | None = None
) -> Choice | None:
    """A job of the group for the slot, of one level or the most urgent; None when each avoids the slot.

    `job` is the one that is wanted most.
    """
    if job is None or slot.name in job.avoid:
        job = _job(view, slot, group, level)
    return None if job is None else (slot, group, job, because)


def ready(view: View, group: Group) -> Iterator[Slot]:
    """Slots that have the group's build and may take a job of it at once."""
    for slot in view.holders.get(group.key[1:], ()):
        if group.labels <= slot.labels:
            yield slot
    ahead = view.ahead.get(group.key)
    if ahead is not None:
        yield ahead


def spare(view: View, group: Group) -> Iterator[Slot]:
    """The idle slots on which the group's build could be installed, the best first.

    A common slot before a rare one that others may need, one whose build nobody waits for before others,
    and then the longest idle.
    """
    rivals = _rarer(view, group)
    others: list[tuple[int, int, int, Slot]] = []
    for number, slot in enumerate(view.idle):
        if not group.labels <= slot.labels:
            continue
        rare = sum(labels <= slot.labels for labels in rivals) if rivals else 0
        wanted = view.wanted(slot)
        if wanted is None and not rare:
            yield slot
        else:
            others.append((rare, 0 if wanted is None else 3 - wanted, number, slot))
    others.sort(key=lambda entry: entry[:3])
    for *_, slot in others:
        yield slot


def _rarer(view: View, group: Group) -> list[frozenset[str]]:
    """The labels of work, waiting or known of old, for which there are fewer slots than for the group's."""
    records = view.state.measures.records
    if len(records) == 1:
        return []
    slots = view.record(group).slots
    return [record.line.labels for record in records.values() if record.slots < slots]


def _job(view: View, slot: Slot, group: Group, level: int | None) -> Job | None:
    queue = group.top(level)
    if queue is None:
        return None
    job = _by_rule(view, group, queue)
    if slot.name not in job.avoid:
        return job
    for other in group.first(_LOOKED_AT):
        if level is not None and other.level != level:
            continue
        if slot.name not in other.avoid or not _elsewhere(view.state, group, other):
            return other
    return None


def _by_rule(view: View, group: Group, queue: Queue) -> Job:
    mean_s = view.mean_s(group)
    if view.ending(group):
        longest = queue.by_length(mean_s, longest=True)
        if view.left_s(group) <= _LONGEST * view.state.expected_s(longest):
            return longest
    return queue.by_length(mean_s, longest=False)


def _elsewhere(state: LabState, group: Group, job: Job) -> bool:
    return any(
        slot.available and group.labels <= slot.labels and slot.name not in job.avoid
        for slot in state.slots.values()
    )
