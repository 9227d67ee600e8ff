"""Which slots a group may get, and which of its jobs goes next."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import tee
from operator import itemgetter
from typing import Final

from qgjob.domain.placement.groups import Group, Queue
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.model import Job, LabState, Slot
from qgjob.domain.placement.policy.view import Choice, View

_LONGEST_FIRST: Final = 9.0
"""At the end of a backlog the longest test goes first once the backlog takes less than so many times as
long;"""
_LONGEST_FIRST_BRIEF: Final = 4.0
"""the same of one that is brief. (Nine times missed the goals of short jobs three times as often.)"""
_SCAN_LIMIT: Final = 16


def choose_job(
    view: View, slot: Slot, group: Group, because: str, *, level: int | None = None, job: Job | None = None
) -> Choice | None:
    """A job of the group for the slot, of one level or of the most urgent one; None when all avoid the slot.

    `job` is preferred unless it avoids the slot.
    """
    if job is None or slot.name in job.avoid:
        job = _next_job(view, slot, group, level)
    return None if job is None else (slot, group, job, because)


def slots_with_build(view: View, group: Group) -> Iterator[Slot]:
    """Slots that have the group's build and can take a job of it now."""
    for slot in view.holders.get(group.build, ()):
        if group.labels <= slot.labels:
            yield slot
    prefetching = view.prefetching.get(group.key)
    if prefetching is not None:
        yield prefetching


def slots_for_install(view: View, of: Group | Pool) -> Iterator[Slot]:
    """The idle slots on which a build of a group or a pool could be installed, the best first.

    A common slot before a scarce one that others may need; then one whose build nobody waits for; then the
    one that is idle for longest.
    """
    found = view.slots_for_install.get(of.capability) or _rank_for_install(view, of)
    # All that ask begin with the first, and each slot is looked at once.
    view.slots_for_install[of.capability], slots = tee(found)
    return slots


def _rank_for_install(view: View, of: Group | Pool) -> Iterator[Slot]:
    by_scarcity: dict[int, list[list[tuple[int, Slot]]]] = {}
    for labels, slots in view.idle_by_labels.items():
        if of.labels <= labels:
            scarcity = view.state.stats.scarcity(labels, view.stats(of).slots)
            by_scarcity.setdefault(scarcity, []).append(slots)
    for _, alike in sorted(by_scarcity.items(), key=itemgetter(0)):
        wanted: list[tuple[int, int, Slot]] = []
        for number, slot in alike[0] if len(alike) == 1 else heapq.merge(*alike, key=itemgetter(0)):
            level = view.waiting_level(slot)
            if level is None:
                yield slot
            else:
                wanted.append((-level, number, slot))
        wanted.sort(key=itemgetter(0, 1))
        for *_, slot in wanted:
            yield slot


def _next_job(view: View, slot: Slot, group: Group, level: int | None) -> Job | None:
    queue = group.top_queue(level)
    if queue is None:
        return None
    job = _shortest_or_longest(view, group, queue)
    if slot.name not in job.avoid:
        return job
    for other in group.first(_SCAN_LIMIT):
        if level is not None and other.level != level:
            continue
        if slot.name not in other.avoid or not _has_alternative(view.state, group, other):
            return other
    return None


def _shortest_or_longest(view: View, group: Group, queue: Queue) -> Job:
    mean_s = view.test_s(group)
    if view.is_ending(group):
        longest = queue.by_length(mean_s, longest=True)
        times = _LONGEST_FIRST_BRIEF if view.is_brief(group) else _LONGEST_FIRST
        if view.backlog_s(group) <= times * view.state.expected_s(longest):
            return longest
    return queue.by_length(mean_s, longest=False)


def _has_alternative(state: LabState, group: Group, job: Job) -> bool:
    """Whether a slot could run the job that the job does not avoid."""
    return any(
        slot.available and group.labels <= slot.labels and slot.name not in job.avoid
        for slot in state.slots.values()
    )
