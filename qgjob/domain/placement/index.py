"""Rankings of the groups with waiting jobs: they let the policy decide without looking at every group."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qgjob.domain.estimates import TEST_PRIOR_S
from qgjob.domain.placement.eviction import Losses, eviction_loss_s
from qgjob.domain.placement.groups import top_level_of
from qgjob.domain.placement.organisations import Organisations

if TYPE_CHECKING:
    from qgjob.domain.estimates import Estimates
    from qgjob.domain.placement.groups import Group
    from qgjob.domain.placement.model import Build

Levels = tuple[int, ...]
"""How many jobs wait, by level."""
Key = tuple[float, float, int]
Ranked = tuple[float, float, int, int, "Group"]
"""A group behind its key and number."""

_RERANK_FACTOR: Final = 1.5
"""Groups whose work is guessed are ranked again when the mean test takes so many times as long, or less."""


class Ranking:
    """Groups in the order of a key each; smaller is first."""

    __slots__ = ("_keys", "ranked")

    def __init__(self) -> None:
        self.ranked: list[Ranked] = []
        """In order."""
        self._keys: dict[int, Key] = {}

    def put(self, group: Group, key: Key | None) -> bool:
        """Give a group another key, or with None take it out; False when it is the same as before."""
        old = self._keys.get(group.number)
        if old == key:
            return False
        if old is not None:
            del self.ranked[bisect_left(self.ranked, (*old, group.number))]  # pyright: ignore[reportArgumentType]  # a shorter tuple is less
            del self._keys[group.number]
        if key is not None:
            self._keys[group.number] = key
            insort(self.ranked, (*key, group.number, group))
        return True

    def key_of(self, group: Group) -> Key | None:
        """The key of a group; None when it is not ranked here."""
        return self._keys.get(group.number)

    def __iter__(self) -> Iterator[Group]:
        return (group for *_, group in self.ranked)

    def __len__(self) -> int:
        return len(self.ranked)

    def groups(self, count: int) -> list[Group]:
        """The first `count`."""
        return [group for *_, group in self.ranked[:count]]


class ByOrg:
    """Groups ranked within each organisation, and the first group of each for which no slot works."""

    __slots__ = ("_firsts", "_rankings", "without_slot")

    def __init__(self) -> None:
        self.without_slot = Ranking()
        """The first groups of those without a slot."""
        self._rankings: dict[str, Ranking] = {}
        self._firsts: dict[str, Group] = {}
        """By organisation: which of its groups is in `without_slot`."""

    def put(self, group: Group, key: Key | None, orgs: Organisations) -> None:
        """Give a group another key, or with None take it out."""
        org = group.key.org_id
        ranking = self._rankings.get(org)
        if ranking is None:
            ranking = self._rankings[org] = Ranking()
        ranking.put(group, key)
        if not ranking:
            del self._rankings[org]
        self.refresh(org, orgs)

    def refresh(self, org: str, orgs: Organisations) -> None:
        """Bring up to date which group is the first of an organisation, if no slot works for it."""
        ranking = None if org in orgs.slots else self._rankings.get(org)
        key, first = None, None
        if ranking is not None:
            (first,) = ranking.groups(1)
            key = ranking.key_of(first)
        old = self._firsts.get(org)
        if old is not None and old is not first:
            self.without_slot.put(old, None)
            del self._firsts[org]
        if first is not None:
            self._firsts[org] = first
            self.without_slot.put(first, key)

    def ranked(self, orgs: Iterable[str]) -> int:
        """How many of some organisations have groups here."""
        return sum(org in self._rankings for org in orgs)

    def of(self, orgs: Iterable[str]) -> Iterator[Group]:
        """The groups of some organisations in their order."""
        rankings = [ranking.ranked for org in orgs if (ranking := self._rankings.get(org))]
        return (group for *_, group in heapq.merge(*rankings))


def merge(rankings: Iterable[Ranking], count: int) -> list[Group]:
    """The first `count` groups of several rankings together."""
    firsts = [entry for ranking in rankings for entry in ranking.ranked[:count]]
    firsts.sort()  # which takes no time where there is one ranking
    return [group for *_, group in firsts[:count]]


@dataclass(slots=True, eq=False)
class Pool:
    """The groups with waiting jobs of one capability."""

    capability: str
    labels: frozenset[str]
    by_priority: tuple[Ranking, Ranking, Ranking] = field(
        default_factory=lambda: (Ranking(), Ranking(), Ranking())
    )
    """By level, the groups with jobs of it: the most urgent priority number first, then the longest wait."""
    by_org: tuple[ByOrg, ByOrg, ByOrg] = field(default_factory=lambda: (ByOrg(), ByOrg(), ByOrg()))
    """The same within each organisation."""
    by_age: Ranking = field(default_factory=Ranking)
    """The longest wait first, of whatever priority."""
    by_work: tuple[Ranking, Ranking, Ranking] = field(
        default_factory=lambda: (Ranking(), Ranking(), Ranking())
    )
    """By the most urgent level of each group: the most work for each slot first, with one slot more."""
    losses: Losses = field(default_factory=Losses)
    """What each group loses by one slot less that slots work on."""
    waiting: list[int] = field(default_factory=lambda: [0, 0, 0])
    """How many jobs wait, by level."""
    work_s: float = 0.0
    """Expected seconds of their tests."""


def _is_guessed(group: Group, estimates: Estimates) -> bool:
    """Whether a group's work is guessed from tests of others: what its own take is in its rank already."""
    return group.key not in estimates.groups and any(queue.unknown for queue in group.queues.values())


_NOTHING: Final = (0, 0, 0), 0.0


@dataclass(slots=True, eq=False)
class Index:
    """All rankings; `refresh` brings them up to date before the policy looks at them."""

    pools: dict[str, Pool] = field(default_factory=dict[str, Pool])
    """By capability; only those with waiting jobs."""
    by_age: Ranking = field(default_factory=Ranking)
    """Those of all pools, the longest wait first."""
    builds: dict[Build, dict[int, Group]] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """The groups with waiting jobs, by build and number."""
    tiers: list[list[Pool]] | None = None
    """The pools by how scarce their slots are, kept here by the policy; None since pools or slots changed."""
    orgs: Organisations = field(default_factory=Organisations)
    changed: dict[int, Group] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """Groups whose ranks may be wrong now, by number."""
    orphaned: dict[int, Group] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """Groups that had orphans, by number; some may have none any more."""
    slots_changed: bool = False
    """Whether a slot came, went, or may run other jobs than before."""
    test_s: float = TEST_PRIOR_S
    """The mean seconds of a test when all groups were ranked last: that changes seldom."""
    _counted: dict[int, tuple[Levels, float]] = field(default_factory=dict[int, tuple[Levels, float]])
    """By number of a group: how many of its jobs waited when it was ranked last, and for how many seconds
    their tests were expected to take."""
    _last_number: int = 0

    def next_number(self) -> int:
        """The number of a new group."""
        self._last_number += 1
        return self._last_number

    def oldest_s(self, now: float) -> float:
        """How long the oldest of all waiting jobs waits; 0 when none does."""
        return next((now - arrived_at for arrived_at, *_ in self.by_age.ranked), 0.0)

    def refresh(self, estimates: Estimates) -> None:
        """Rank every group that changed, and when tests take another time those that it is guessed from."""
        test_s = max(estimates.any_test.value, 1e-3)
        if not 1 / _RERANK_FACTOR < test_s / self.test_s < _RERANK_FACTOR:
            self.test_s = test_s
            for groups in self.builds.values():
                self.changed.update(
                    (n, group) for n, group in groups.items() if _is_guessed(group, estimates)
                )
        if self.changed:
            for group in self.changed.values():
                self._rank(group, estimates)
            self.changed.clear()
        if self.orgs.turned:
            for org in self.orgs.turned:
                for capability in self.orgs.by_capability.get(org, ()):
                    for by_org in self.pools[capability].by_org:
                        by_org.refresh(org, self.orgs)
            self.orgs.turned.clear()

    def _rank(self, group: Group, estimates: Estimates) -> None:
        capability = group.key.capability
        pool = self.pools.get(capability)
        if pool is None:
            if not group.waiting:
                return
            pool = self.pools[capability] = Pool(capability, group.labels)
            self.tiers = None
        work_s = group.work_s(estimates.group(group.key))
        before = self._count(group, pool, work_s)
        for level, by_priority in enumerate(pool.by_priority):
            if not group.levels[level] and not before[level]:
                continue
            queue = group.top_queue(level)
            head = None if queue is None else queue.oldest()
            key = None if head is None else (-head.priority, head.arrived_at, head.order)
            if by_priority.put(group, key):
                pool.by_org[level].put(group, key, self.orgs)
        oldest = group.oldest()
        key = None if oldest is None else (oldest.arrived_at, oldest.order, 0)
        if pool.by_age.put(group, key):
            self.by_age.put(group, key)
        top_level, before_level = group.top_level(), top_level_of(before)
        if before_level is not None and before_level != top_level:
            pool.by_work[before_level].put(group, None)
        if top_level is not None:
            pool.by_work[top_level].put(group, (-work_s / (group.busy + 1), 0.0, 0))
        if group.waiting and group.busy:
            install_s = estimates.install(group.key.org_id, group.key.app_version_id)
            pool.losses.put(group.number, eviction_loss_s(group, group.busy, work_s, install_s), group.busy)
        else:
            pool.losses.put(group.number, 0.0, 0)
        if not pool.by_age:
            del self.pools[capability]
            self.tiers = None

    def _count(self, group: Group, pool: Pool, work_s: float) -> Levels:
        """Update the sums of the group's pool and organisation, and the list of its build.

        Returns how many jobs waited, by level, when that was done last.
        """
        before, before_s = self._counted.get(group.number, _NOTHING)
        high, medium, low = after = tuple(group.levels)
        if after == before and work_s == before_s:
            return before
        pool.work_s += work_s - before_s
        pool.waiting[0] += high - before[0]
        pool.waiting[1] += medium - before[1]
        pool.waiting[2] += low - before[2]
        waiting, waited = group.waiting, sum(before)
        self.orgs.count_waiting(group.key.org_id, group.capability, waiting - waited)
        if waiting:
            self._counted[group.number] = after, work_s
            if not waited:
                self.builds.setdefault(group.build, {})[group.number] = group
        else:
            del self._counted[group.number]
            groups = self.builds[group.build]
            del groups[group.number]
            if not groups:
                del self.builds[group.build]
        return before
