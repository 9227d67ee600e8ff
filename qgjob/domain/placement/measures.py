"""What the policy measures as it goes, capability by capability: slots, load, waits, and what is aged."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp
from typing import TYPE_CHECKING, Final

from bus_schemas.jobs import labels_of
from qgjob.domain.placement.shadow import Line, Shadow
from qgjob.domain.placement.waits import Waits

if TYPE_CHECKING:
    from qgjob.domain.placement.groups import Group
    from qgjob.domain.placement.model import Job, LabState

HORIZON_S: Final = 3600.0
"""A job that waits longer is aged."""
AGED_SHARE: Final = 0.1
"""The share of the starts that aged work is sure of."""
AGED_PUT_OFF_S: Final = 1800.0
"""In a rush the oldest are owed, before they get it, what they are sure of in that time."""
AGED_ACCRUES: Final = 0.25
"""How much a start of aged work that came by itself counts towards the next start of the oldest."""
_AS_OLD: Final = 0.9
"""What waits so many times as long as the oldest is among the oldest."""
_MEMORY: Final = 20.0
"""Over how many times the length of a test the load is measured."""
_FEW: Final = 40
"""Fewer waits than that say nothing about their quantiles."""
_MOST_KEPT: Final = 256
"""Capabilities that are remembered."""


@dataclass(slots=True, eq=False)
class Record:
    """What was measured of the jobs of one capability."""

    line: Line
    """The same jobs, first come, first served."""
    slots: int = 0
    """How many available slots can run them."""
    waits: tuple[Waits, Waits, Waits] = field(default_factory=lambda: (Waits(), Waits(), Waits()))
    """By level, as the policy made them."""
    _arrivals: float = 0.0
    _arrived_at: float = 0.0

    def arrived(self, now: float, mean_s: float) -> None:
        """A job came; a test takes `mean_s` on average."""
        self._arrivals = self._fading(now, mean_s) + 1.0
        self._arrived_at = now

    def load(self, now: float, mean_s: float) -> float:
        """Test work that came lately over what the slots can do, the installs not counted."""
        return self._fading(now, mean_s) / (_MEMORY * max(1, self.slots))

    def quiet_s(self, now: float) -> float:
        """How long nothing came."""
        return now - self._arrived_at

    def _fading(self, now: float, mean_s: float) -> float:
        return self._arrivals * exp((self._arrived_at - now) / (_MEMORY * max(mean_s, 1e-3)))

    def behind(self, level: int) -> float:
        """Our 95 % quantile of a class over that of first come, first served; 1 where little is known."""
        if len(self.waits[level]) < _FEW:
            return 1.0
        ours, theirs = self.waits[level].quantile(0.95), self.line.waits[level].quantile(0.95)
        return 1.0 if ours is None or not theirs else ours / theirs


@dataclass(slots=True, eq=False)
class Measures:
    """All records, and the account of the aged."""

    shadow: Shadow = field(default_factory=Shadow)
    records: dict[str, Record] = field(default_factory=dict[str, Record])
    """By capability."""
    aged_due: float = 0.0
    """Starts that the oldest aged work is owed, by what started while there was some; negative: taken in
    advance."""
    recount: bool = True

    def record(self, capability: str, labels: frozenset[str]) -> Record:
        """What was measured of the jobs that need those labels."""
        record = self.records.get(capability)
        if record is None:
            if len(self.records) >= _MOST_KEPT:
                oldest = next(iter(self.records))
                del self.records[oldest], self.shadow.lines[oldest]
            record = self.records[capability] = Record(self.shadow.line(capability, labels))
            self.recount = True
        return record

    def arrived(self, state: LabState, job: Job, now: float) -> None:
        """A job came whose time has come."""
        estimates, capability = state.estimates, job.group.capability
        known = self.records.get(capability)
        labels = labels_of(capability) if known is None else known.line.labels
        self.record(capability, labels).arrived(now, estimates.any_test.value)
        if job.expected_s is None and not estimates.any_test.count:
            return  # with nothing known of any test, first come, first served cannot be simulated
        if self.shadow.arrived(job, labels, state.expected_s(job)):
            self.recount = True

    def advance(self, state: LabState, now: float) -> None:
        """Bring the simulation up to date."""
        if self.recount or state.index.slots_changed:
            self.recount = state.index.slots_changed = False
            available = [slot.labels for slot in state.slots.values() if slot.available]
            for record in self.records.values():
                record.slots = sum(record.line.labels <= labels for labels in available)
            self.shadow.equip(available, now)
        self.shadow.advance(now, state.estimates.install)

    def started(
        self,
        group: Group,
        job: Job,
        wait_s: float,
        age_s: float,
        *,
        as_aged: bool,
        oldest_s: float,
        most_owed: float,
    ) -> None:
        """A job was released: it will have waited `wait_s` when its test starts, and waits `age_s` now.

        `as_aged`: it claimed what the aged are sure of. `oldest_s` is how long the oldest of all waits;
        `most_owed`: see `aged_most`.
        """
        self.record(group.key.capability, group.labels).waits[job.level].add(wait_s)
        if as_aged:
            self.aged_due -= 1.0
        elif age_s >= max(HORIZON_S, _AS_OLD * oldest_s):  # by itself it got what it is sure of
            self.aged_due = max(self.aged_due - 1.0, min(self.aged_due, 0.0))
        elif oldest_s >= HORIZON_S:
            counts = AGED_ACCRUES if age_s >= HORIZON_S else 1.0
            self.aged_due = min(most_owed, self.aged_due + counts * AGED_SHARE / (1.0 - AGED_SHARE))


def aged_most(slots: int, test_s: float) -> float:
    """How many starts the oldest aged work is owed at most, where a test takes `test_s` on average."""
    return max(1.0, slots * AGED_SHARE * AGED_PUT_OFF_S / max(test_s, 1e-3))
