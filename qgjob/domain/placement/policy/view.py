"""What one decision looks at: the slots that could take something now, and the figures of a group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.holding import overdue
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.measures import Record, aged_most
from qgjob.domain.placement.model import Build, GroupKey, Job, LabState, Slot
from qgjob.domain.placement.policy.terms import FEW, Terms, terms

_LITTLE: Final = 0.5
"""The load under which a backlog may be ending."""
_BRIEF_S: Final = 12.0
"""What is done within that is done at once to those who wait: nobody minds who was first."""

Choice = tuple[Slot, Group, Job | None, str]
"""A slot, its next group and job (None: an orphan that is released already), and why."""


@dataclass(slots=True)
class View:
    """The free slots, and what every rule asks of a group."""

    state: LabState
    now: float
    idle: list[Slot] = field(default_factory=list[Slot])
    """Slots that hold nothing, the longest idle first."""
    holders: dict[Build, list[Slot]] = field(default_factory=dict[Build, list[Slot]])
    """Idle slots by what they have installed."""
    ahead: dict[GroupKey, Slot] = field(default_factory=dict[GroupKey, Slot])
    """By group: a busy slot for which one more short job may be released ahead; the least laden."""
    favoured: frozenset[str] = frozenset()
    """Organisations that go first within a class, because another one floods the lab."""

    _terms: dict[str, Terms] = field(default_factory=dict[str, Terms])
    """By capability."""
    as_aged: bool = False
    """Whether the choice is one of the starts that aged work is sure of."""

    @classmethod
    def of(cls, state: LabState, now: float) -> View:
        """What there is to decide upon now."""
        view = cls(state, now)
        for slot in state.free.values():
            if not slot.held:
                view.idle.append(slot)
                for build in slot.installed:
                    view.holders.setdefault(build, []).append(slot)
            elif slot.bound is not None and not overdue(slot, now):
                have = view.ahead.get(slot.bound)
                if have is None or len(slot.held) < len(have.held):
                    view.ahead[slot.bound] = slot
        return view

    def record(self, of: Group | Pool) -> Record:
        """What was measured of the jobs that need the same labels."""
        return self.state.measures.record(of.capability, of.labels)

    def terms(self, of: Group | Pool) -> Terms:
        """On what terms the jobs that need the same labels get slots and installs."""
        found = self._terms.get(of.capability)
        if found is None:
            found = self._terms[of.capability] = terms(self.record(of), self.round_s, self.now)
        return found

    @property
    def round_s(self) -> float:
        """What an install and a test take, of whichever build."""
        return self.state.estimates.any_install.value + self.state.estimates.any_test.value

    @property
    def oldest_s(self) -> float:
        """How long the oldest of all waiting jobs waits; 0 when there is none."""
        firsts = (entry for pool in self.state.index.pools.values() for entry in pool.ages.first(1))
        return self.now - min((arrived_at for (arrived_at, *_), _, _ in firsts), default=self.now)

    @property
    def most_owed(self) -> float:
        """How many starts the oldest aged work is owed at most."""
        return aged_most(len(self.state.slots), self.state.index.mean_s)

    def usual_s(self, of: Group | Pool, level: int, share: float) -> float:
        """How long so many of the jobs of a level wait at most with first come, first served; 0: not known.

        While few are known, not less than the terms say.
        """
        record = self.record(of)
        usual_s = record.line.usual_s(level, share, self.now) or 0.0
        few = len(record.line.waits[level]) < FEW * max(1, record.slots)
        return max(usual_s, self.terms(of).first_rounds * self.round_s) if few else usual_s

    def load(self, of: Group | Pool) -> float:
        """The test work that came lately for the same labels, over what their slots can do."""
        return self.record(of).load(self.now, self.state.estimates.any_test.value)

    def left_s(self, of: Group | Pool) -> float:
        """How long the slots would need for all tests that wait for the same labels, evenly spread."""
        return self.state.index.pools[of.capability].work_s / max(1, self.record(of).slots)

    def ending(self, of: Group | Pool) -> bool:
        """Whether that is likely to be done before much more comes, or is done very soon anyway.

        Little comes, and nothing came for as long as it will take: who knows no more of arrivals than how
        long there were none expects none for as long again.
        """
        return self.brief(of) or (
            self.load(of) < _LITTLE and self.record(of).quiet_s(self.now) >= self.left_s(of)
        )

    def brief(self, of: Group | Pool) -> bool:
        """Whether it takes, with an install, so short that only the end of it all counts."""
        return self.left_s(of) + self.state.estimates.any_install.value <= _BRIEF_S

    def install_s(self, group: Group) -> float:
        """How long the group's build is expected to take to install."""
        return self.state.estimates.install(group.key.org_id, group.key.app_version_id)

    def mean_s(self, group: Group) -> float:
        """How long a test of the group is expected to take."""
        return self.state.estimates.group(group.key)

    def work_s(self, group: Group, levels: int = 3) -> float:
        """Expected seconds of the group's tests that wait, of its most urgent `levels` levels."""
        return group.work_s(self.mean_s(group), levels)

    def frees(self, group: Group) -> Iterator[float]:
        """When the slots that work on the group are expected to be done; those long overdue left out."""
        overdue_s = self.install_s(group) + self.mean_s(group)
        for name in group.slots:
            slot = self.state.slots.get(name)
            if slot is not None and slot.works_on is group and self.now - slot.until <= overdue_s:
                yield slot.until

    def workers(self, group: Group) -> int:
        """How many slots work on the group and will come back to it.

        None when they are overdue by an install and a test on average: whatever holds them up may last.
        """
        busy = group.busy
        overdue_s = busy * self.now - group.ends_s
        if overdue_s > 0 and overdue_s > busy * (self.install_s(group) + self.mean_s(group)):
            return 0
        return busy

    def last_start_s(self, group: Group, levels: int = 3) -> float:
        """How long the last job of the group's most urgent levels will have waited, as things are."""
        oldest = group.oldest()
        age = self.now - oldest.arrived_at if oldest else 0.0
        workers, work = self.workers(group), self.work_s(group, levels)
        if not workers:
            return age + self.install_s(group) + work
        return age + (work + group.running_s(self.now)) / workers

    def wanted(self, slot: Slot) -> int | None:
        """The most urgent level at which jobs wait for a build that the slot has."""
        return min((level for level, _ in self.wanting(slot)), default=None)

    def wanting(self, slot: Slot) -> Iterator[tuple[int, Group]]:
        """Groups whose waiting jobs a slot could run without an install, each with its most urgent level."""
        for build in slot.installed:
            groups = self.state.index.builds.get(build)
            for group in groups.values() if groups else ():
                level = group.level()
                if level is not None and group.labels <= slot.labels:
                    yield level, group
