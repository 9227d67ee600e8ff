"""What the policy measures, capability by capability: slots, load, waits; and the credit of aged work."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import islice
from math import exp
from typing import TYPE_CHECKING, Final

from bus_schemas.jobs import labels_of
from qgjob.domain.placement.fcfs_queue import FcfsQueue
from qgjob.domain.placement.shadow import Shadow
from qgjob.domain.placement.waits import Waits

if TYPE_CHECKING:
    from qgjob.domain.placement.groups import Group
    from qgjob.domain.placement.model import Job, LabState

AGED_AFTER_S: Final = 3600.0
"""A job that waits longer is aged."""
AGED_SHARE: Final = 0.1
"""The share of the starts that the oldest aged work is sure of."""
AGED_MAX_DEFERRAL_S: Final = 1800.0
"""The oldest are owed at most as many starts as they are sure of in that time."""
AGED_START_WEIGHT: Final = 0.25
"""How much a start of other aged work counts towards the next start of the oldest."""
_AS_OLD: Final = 0.9
"""A job that waits so many times as long as the oldest counts as one of the oldest."""
_LOAD_WINDOW_TESTS: Final = 20.0
"""The load is measured with a time constant of so many tests."""
_MIN_WAITS: Final = 40
"""Fewer waits than that say nothing about their quantiles."""
_MAX_CAPABILITIES: Final = 256
"""How many capabilities are remembered, apart from those for which jobs wait."""


@dataclass(slots=True, eq=False)
class CapabilityStats:
    """What was measured of the jobs of one capability."""

    fcfs: FcfsQueue
    """The same jobs under FCFS."""
    slots: int = 0
    """How many available slots can run them."""
    waits: tuple[Waits, Waits, Waits] = field(default_factory=lambda: (Waits(), Waits(), Waits()))
    """By level, under our policy."""
    _arrivals: float = 0.0
    """Arrivals, decayed exponentially until the last one."""
    _last_arrival_at: float = 0.0

    def on_arrival(self, now: float, test_s: float) -> None:
        """A job arrived; `test_s`: mean seconds of a test."""
        self._arrivals = self._recent_arrivals(now, test_s) + 1.0
        self._last_arrival_at = now

    def load(self, now: float, test_s: float) -> float:
        """Test work that arrived lately over what the slots can do, the installs not counted."""
        return self._recent_arrivals(now, test_s) / (_LOAD_WINDOW_TESTS * max(1, self.slots))

    def usual_wait_s(self, level: int, quantile: float, now: float) -> float | None:
        """A quantile of the waits of a level under FCFS; None while no wait is known."""
        return self.fcfs.usual_wait_s(level, quantile, now, self.slots)

    def since_arrival_s(self, now: float) -> float:
        """Seconds since the last arrival."""
        return now - self._last_arrival_at

    def _recent_arrivals(self, now: float, test_s: float) -> float:
        return self._arrivals * exp((self._last_arrival_at - now) / (_LOAD_WINDOW_TESTS * max(test_s, 1e-3)))

    def wait_ratio(self, level: int) -> float:
        """Our 95 % quantile of the waits of a level over that under FCFS; 1 while few waits are known."""
        if len(self.waits[level]) < _MIN_WAITS:
            return 1.0
        ours, fcfs = self.waits[level].quantile(0.95), self.fcfs.waits[level].quantile(0.95)
        return 1.0 if ours is None or not fcfs else ours / fcfs


@dataclass(slots=True, eq=False)
class Stats:
    """The statistics of all capabilities, the shadow, and the credit of aged work."""

    shadow: Shadow = field(default_factory=Shadow)
    by_capability: dict[str, CapabilityStats] = field(default_factory=dict[str, CapabilityStats])
    """The one of which a job arrived or started last is the last."""
    aged_credit: float = 0.0
    """Starts that the oldest aged work is owed; negative: it had that many in advance."""
    slots_stale: bool = True
    """Whether slots must be counted again: a capability is new, or a job asks for a new label."""

    _fitting: dict[frozenset[str], list[int]] = field(default_factory=dict[frozenset[str], list[int]])
    """By the labels of a slot: how many slots each capability has that it can run, sorted."""
    holds_stale: bool = False
    """Whether something was paused, held or limited, or is not any more, that the shadow does not know of."""

    def of(self, capability: str, labels: frozenset[str]) -> CapabilityStats:
        """The statistics of a capability, made when there are none."""
        stats = self.by_capability.get(capability)
        if stats is None:
            stats = self.by_capability[capability] = CapabilityStats(self.shadow.queue(capability, labels))
            self.slots_stale = True
            self._fitting.clear()
        return stats

    def _of_used(self, capability: str, labels: frozenset[str]) -> CapabilityStats:
        """The statistics of a capability of which a job arrives or starts."""
        stats = self.of(capability, labels)
        self.by_capability[capability] = self.by_capability.pop(capability)
        return stats

    def _forget_unused(self, waiting: Container[str]) -> None:
        """Forget what was used least recently; `waiting`: the capabilities for which jobs wait."""
        surplus = len(self.by_capability) - _MAX_CAPABILITIES
        unused = (capability for capability in self.by_capability if capability not in waiting)
        for capability in list(islice(unused, max(0, surplus))):
            del self.by_capability[capability]
            self.shadow.forget(capability)

    def scarcity(self, labels: frozenset[str], slots: int) -> int:
        """How many capabilities, with or without waiting jobs, need a slot with these labels more.

        They have fewer than so many slots.
        """
        fitting = self._fitting.get(labels)
        if fitting is None:
            able = (stats for stats in self.by_capability.values() if stats.fcfs.labels <= labels)
            fitting = self._fitting[labels] = sorted(stats.slots for stats in able)
        return bisect_left(fitting, slots)

    def on_arrival(self, state: LabState, job: Job, now: float, *, counted: bool = False) -> None:
        """A job arrived, or the time of a delayed one has come.

        `counted`: it arrived before, and waits in another place now.
        """
        estimates, capability = state.estimates, job.group.capability
        known = self.by_capability.get(capability)
        labels = labels_of(capability) if known is None else known.fcfs.labels
        stats = self._of_used(capability, labels)
        if not counted:
            stats.on_arrival(now, estimates.any_test.value)
        if job.expected_s is None and not estimates.any_test.count:
            return  # with nothing known of any test, FCFS cannot be simulated
        if self.shadow.on_arrival(job, labels, state.expected_s(job)):
            self.slots_stale = True

    def on_withdrawn(self, job: Job) -> None:
        """A waiting job will not start: FCFS does not run it either."""
        queue = self.shadow.queues.get(job.group.capability)
        if queue is not None:
            queue.withdraw(job)

    def on_ended(self, job: Job, ran_s: float | None) -> None:
        """A job is over; `ran_s`: what its test took, None when it is not known."""
        queue = self.shadow.queues.get(job.group.capability)
        if queue is not None:
            queue.end(job, ran_s)

    def advance(self, state: LabState, now: float) -> None:
        """Count slots again if they changed, and bring the shadow up to date."""
        if self.slots_stale or state.index.slots_changed:
            self.slots_stale = state.index.slots_changed = False
            state.index.tiers = None
            self._forget_unused(state.index.pools)
            self._fitting.clear()
            available = Counter(slot.labels for slot in state.slots.values() if slot.available)
            for stats in self.by_capability.values():
                required = stats.fcfs.labels
                stats.slots = sum(count for labels, count in available.items() if required <= labels)
            self.shadow.resize(available, now)
        if self.holds_stale:
            self.holds_stale = False
            self.shadow.take_back(state.is_kept_back)
        self.shadow.advance(now, state.estimates.install, state.is_kept_back)

    def on_start(
        self,
        group: Group,
        job: Job,
        wait_s: float,
        age_s: float,
        *,
        is_aged_start: bool,
        oldest_s: float,
        max_credit: float,
    ) -> None:
        """A job was released: it will have waited `wait_s` when its test starts, and waits `age_s` now.

        `is_aged_start`: the start is charged to the credit of aged work. `oldest_s`: how long the oldest of
        all waits. `max_credit`: see `max_aged_credit`.
        """
        stats = self._of_used(group.key.capability, group.labels)
        if not stats.fcfs.withdraw_aside(job):
            stats.waits[job.level].add(wait_s)
        if is_aged_start:
            self.aged_credit -= 1.0
        elif age_s >= max(AGED_AFTER_S, _AS_OLD * oldest_s):  # one of the oldest started by itself
            self.aged_credit = max(self.aged_credit - 1.0, min(self.aged_credit, 0.0))
        elif oldest_s >= AGED_AFTER_S:
            weight = AGED_START_WEIGHT if age_s >= AGED_AFTER_S else 1.0
            earned = weight * AGED_SHARE / (1.0 - AGED_SHARE)
            self.aged_credit = min(max_credit, self.aged_credit + earned)


def max_aged_credit(slots: int, test_s: float) -> float:
    """How many starts the oldest aged work is owed at most; `test_s`: mean seconds of a test."""
    return max(1.0, slots * AGED_SHARE * AGED_MAX_DEFERRAL_S / max(test_s, 1e-3))


def aged_credit_of(waited_s: float, slots: int, test_s: float) -> float:
    """How many starts work is owed of which the oldest waits for `waited_s`, when none were counted."""
    most = max_aged_credit(slots, test_s)
    return most * min(1.0, max(0.0, waited_s - AGED_AFTER_S) / AGED_MAX_DEFERRAL_S)
