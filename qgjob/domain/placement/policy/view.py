"""What one decision looks at: the slots that can take a job now, and the figures of groups and pools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from qgjob.domain.placement.assignment import is_overdue
from qgjob.domain.placement.eviction import eviction_loss_s
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.model import Build, GroupKey, Job, LabState, Slot
from qgjob.domain.placement.policy.fairness import Fairness, fairness_of
from qgjob.domain.placement.policy.thresholds import FEW_PER_SLOT, Thresholds, thresholds
from qgjob.domain.placement.stats import CapabilityStats, max_aged_credit

_LOW_LOAD: Final = 0.5
"""The load under which a backlog may be ending."""
_BRIEF_S: Final = 12.0
"""A backlog that takes less is over at once to those who wait: nobody minds who was first."""

Choice = tuple[Slot, Group, Job | None, str]
"""A slot, its next group and job (None: an orphan, which is released already), and the reason that `explain`
gives."""


@dataclass(slots=True)
class View:
    """The free slots, and what the rules ask of groups and pools. Times in seconds.

    Most figures are of a capability: they take a group or a pool and are of all that need the same labels.
    """

    state: LabState
    now: float
    fairness: Fairness
    idle: list[Slot] = field(default_factory=list[Slot])
    """Slots that hold nothing, the longest idle first."""
    idle_by_labels: dict[frozenset[str], list[tuple[int, Slot]]] = field(
        default_factory=dict[frozenset[str], list[tuple[int, Slot]]]
    )
    """The same by their labels, each behind its place among all."""
    holders: dict[Build, list[Slot]] = field(default_factory=dict[Build, list[Slot]])
    """Idle slots by installed build."""
    pools: list[Pool] = field(default_factory=list[Pool])
    """Those with jobs that a free slot can take. Whatever waits for others is of no use now."""
    prefetching: dict[GroupKey, Slot] = field(default_factory=dict[GroupKey, Slot])
    """By group: the busy slot with the fewest jobs of those for which one more short job may be released
    ahead."""
    slots_for_install: dict[str, Iterator[Slot]] = field(default_factory=dict[str, Iterator[Slot]])
    """By capability, as far as they were asked for: see `candidates`."""
    is_aged_start: bool = False
    """Whether the choice is charged to the share of the starts that aged work has."""
    _thresholds: dict[str, Thresholds] = field(default_factory=dict[str, Thresholds])
    """By capability."""
    _usual_waits_s: dict[tuple[str, int, float], float] = field(
        default_factory=dict[tuple[str, int, float], float]
    )
    """By capability, level and quantile."""
    _wait_ratios: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    """By capability and level."""
    _waiting_groups: dict[str, list[tuple[int, Group]]] = field(
        default_factory=dict[str, list[tuple[int, Group]]]
    )
    """By slot: see `waiting_groups`."""
    _slots_with_loss: dict[tuple[str, float], int] = field(default_factory=dict[tuple[str, float], int])
    """By capability and loss: see `slots_with_loss`."""

    @classmethod
    def of(cls, state: LabState, now: float) -> View:
        """The slots that can take a job now."""
        view = cls(state, now, fairness_of(state))
        for slot in state.free.values():
            if not slot.assigned:
                view.idle_by_labels.setdefault(slot.labels, []).append((len(view.idle), slot))
                view.idle.append(slot)
                for build in slot.installed:
                    view.holders.setdefault(build, []).append(slot)
            elif slot.bound is not None and not is_overdue(slot, now):
                other = view.prefetching.get(slot.bound)
                if other is None or len(slot.assigned) < len(other.assigned):
                    view.prefetching[slot.bound] = slot
        ahead = {key.capability for key in view.prefetching}
        others = [pool for pool in state.index.pools.values() if pool.capability not in ahead]
        for labels in view.idle_by_labels:
            others = [pool for pool in others if not pool.labels <= labels]
        unfit = {pool.capability for pool in others}
        view.pools = [pool for pool in state.index.pools.values() if pool.capability not in unfit]
        return view

    def stats(self, of: Group | Pool) -> CapabilityStats:
        """What was measured of a capability."""
        return self.state.stats.of(of.capability, of.labels)

    def thresholds(self, of: Group | Pool) -> Thresholds:
        """The thresholds for a capability."""
        cached = self._thresholds.get(of.capability)
        if cached is None:
            cached = self._thresholds[of.capability] = thresholds(self.stats(of), self.round_s, self.now)
        return cached

    @property
    def round_s(self) -> float:
        """What an install and a test take on average, of any build."""
        return self.state.estimates.any_install.value + self.state.estimates.any_test.value

    @property
    def oldest_s(self) -> float:
        """How long the oldest of all waiting jobs waits; 0 when none does."""
        return self.state.index.oldest_s(self.now)

    @property
    def max_aged_credit(self) -> float:
        """How many starts the oldest aged work is owed at most."""
        return max_aged_credit(len(self.state.slots), self.state.index.test_s)

    def usual_wait_s(self, of: Group | Pool, level: int, quantile: float) -> float:
        """A quantile of the waits of a level under FCFS; 0 when unknown.

        While few waits are known, at least `cold_start_rounds`.
        """
        key = (of.capability, level, quantile)
        usual_s = self._usual_waits_s.get(key)
        if usual_s is None:
            stats = self.stats(of)
            usual_s = stats.usual_wait_s(level, quantile, self.now) or 0.0
            if len(stats.fcfs.waits[level]) < FEW_PER_SLOT * max(1, stats.slots):
                usual_s = max(usual_s, self.thresholds(of).cold_start_rounds * self.round_s)
            self._usual_waits_s[key] = usual_s
        return usual_s

    def wait_ratio(self, of: Group | Pool, level: int) -> float:
        """Our 95 % quantile of the waits of a level over that under FCFS."""
        key = (of.capability, level)
        ratio = self._wait_ratios.get(key)
        if ratio is None:
            ratio = self._wait_ratios[key] = self.stats(of).wait_ratio(level)
        return ratio

    def load(self, of: Group | Pool) -> float:
        """The test work that arrived lately for a capability, over what its slots can do."""
        return self.stats(of).load(self.now, self.state.estimates.any_test.value)

    def backlog_s(self, of: Group | Pool) -> float:
        """How long the slots of a capability need for all its waiting tests, evenly spread."""
        return self.state.index.pools[of.capability].work_s / max(1, self.stats(of).slots)

    def is_ending(self, of: Group | Pool) -> bool:
        """Whether the backlog is likely to be done before much more arrives, or very soon anyway.

        The load is low, and nothing arrived for as long as the backlog takes: with only the length of the
        quiet known, as much again is expected.
        """
        return self.is_brief(of) or (
            self.load(of) < _LOW_LOAD and self.stats(of).since_arrival_s(self.now) >= self.backlog_s(of)
        )

    def is_brief(self, of: Group | Pool) -> bool:
        """Whether the backlog, with an install, takes so short that only its end matters."""
        return self.backlog_s(of) + self.state.estimates.any_install.value <= _BRIEF_S

    def install_s(self, group: Group) -> float:
        """How long the group's build is expected to take to install."""
        return self.state.estimates.install(group.key.org_id, group.key.app_version_id)

    def test_s(self, group: Group) -> float:
        """How long a test of the group is expected to take."""
        return self.state.estimates.group(group.key)

    def work_s(self, group: Group, levels: int = 3) -> float:
        """Expected seconds of the group's waiting tests of its `levels` most urgent levels."""
        return group.work_s(self.test_s(group), levels)

    def free_times(self, group: Group, caution: float = 0.0) -> Iterator[float]:
        """When each slot that works on the group is expected to be done, without those long overdue.

        `caution`: later by so many times as tests are usually off what is expected of them.
        """
        overdue_s = self.install_s(group) + self.test_s(group)
        later = caution * self.state.estimates.error.value
        for name in group.slots:
            slot = self.state.slots.get(name)
            if slot is not None and slot.works_on is group and self.now - slot.free_at <= overdue_s:
                tests = slot.assigned.values() if later else ()
                yield slot.free_at + later * sum(self.state.expected_s(each.job) for each in tests)

    def workers(self, group: Group) -> int:
        """How many slots work on the group and will come back to it.

        0 when they are overdue by an install and a test on average: whatever holds them up may last.
        """
        busy = group.busy
        overdue_s = busy * self.now - group.ends_s
        if overdue_s > 0 and overdue_s > busy * (self.install_s(group) + self.test_s(group)):
            return 0
        return busy

    def has_work_for_one_more(self, group: Group, installs: float, levels: int = 3) -> bool:
        """Whether so many installs of work wait for each slot of the group if one more joined them."""
        least_s = installs * self.install_s(group) * (self.workers(group) + 1)
        return self.work_s(group, levels) >= least_s

    def last_wait_s(self, group: Group, levels: int = 3) -> float:
        """How long the last job of the group's `levels` most urgent levels will have waited when it starts.

        With the slots that work on the group now, or one that would have to install it.
        """
        oldest = group.oldest()
        age_s = self.now - oldest.arrived_at if oldest else 0.0
        workers, work_s = self.workers(group), self.work_s(group, levels)
        if not workers:
            return age_s + self.install_s(group) + work_s
        return age_s + (work_s + group.running_s(self.now)) / workers

    def eviction_loss_s(self, group: Group) -> float:
        """The seconds that a group's waiting jobs would wait longer in sum without a slot that is idle."""
        return eviction_loss_s(group, group.busy + 1, self.work_s(group), self.install_s(group))

    def slots_with_loss(self, of: Group | Pool, loss_s: float) -> int:
        """How many busy slots that can run a group's jobs are missed as much as that or more.

        Where others need fewer labels, it is not known which of their slots can: these are not counted.
        """
        key = (of.capability, loss_s)
        slots = self._slots_with_loss.get(key)
        if slots is None:  # many builds ask about the same slot
            slots = self._slots_with_loss[key] = sum(
                pool.losses.slots_from(loss_s)
                for pool in self.state.index.pools.values()
                if of.labels <= pool.labels
            )
        return slots

    def waiting_level(self, slot: Slot) -> int | None:
        """The most urgent level at which jobs wait for a build that the slot has; None when none do."""
        return min((level for level, _ in self.waiting_groups(slot)), default=None)

    def waiting_groups(self, slot: Slot) -> list[tuple[int, Group]]:
        """Groups whose waiting jobs a slot could run without an install, each with its most urgent level."""
        waiting = self._waiting_groups.get(slot.name)
        if waiting is None:
            waiting = self._waiting_groups[slot.name] = [
                (level, group)
                for build in slot.installed
                for group in self.state.index.builds.get(build, {}).values()
                if (level := group.top_level()) is not None and group.labels <= slot.labels
            ]
        return waiting
