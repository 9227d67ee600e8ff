"""Who waits where, sorted: what lets the policy decide without looking at every group."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from qgjob.domain.estimates import TEST_PRIOR_S

if TYPE_CHECKING:
    from qgjob.domain.estimates import Estimates
    from qgjob.domain.placement.groups import Group
    from qgjob.domain.placement.model import Build

Key = tuple[float, float, int]

_ANOTHER: Final = 1.5
"""When tests take so many times as long as they did, or as little, every group is placed anew."""


class Ranking:
    """Groups in the order of a key each; smaller is first."""

    __slots__ = ("_keys", "_sorted")

    def __init__(self) -> None:
        self._keys: dict[int, Key] = {}
        self._sorted: list[tuple[Key, int, Group]] = []

    def put(self, group: Group, key: Key | None) -> None:
        """Give a group another place, or none."""
        old = self._keys.get(group.number)
        if old == key:
            return
        if old is not None:
            del self._sorted[bisect_left(self._sorted, (old, group.number))]  # pyright: ignore[reportArgumentType]  # a shorter tuple is less
            del self._keys[group.number]
        if key is not None:
            self._keys[group.number] = key
            insort(self._sorted, (key, group.number, group))

    def __iter__(self) -> Iterator[tuple[Key, int, Group]]:
        return iter(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def first(self, count: int) -> list[tuple[Key, int, Group]]:
        """Some of the groups from the head, each with its key and number."""
        return self._sorted[:count]


def merged(rankings: Iterable[Ranking], count: int) -> list[Group]:
    """The first groups of several rankings together."""
    found = [entry for ranking in rankings for entry in ranking.first(count)]
    found.sort(key=lambda entry: entry[:2])
    return [group for _, _, group in found[:count]]


@dataclass(slots=True, eq=False)
class Pool:
    """The groups with waiting jobs that need the same labels."""

    capability: str
    labels: frozenset[str]
    turns: tuple[Ranking, Ranking, Ranking] = field(default_factory=lambda: (Ranking(), Ranking(), Ranking()))
    """By level: the most urgent number first, then the longest wait."""
    ages: Ranking = field(default_factory=Ranking)
    """The longest wait first, of whatever priority."""
    shares: tuple[Ranking, Ranking, Ranking] = field(
        default_factory=lambda: (Ranking(), Ranking(), Ranking())
    )
    """By the most urgent level of each group: where one more slot would find the most work first."""
    waiting: list[int] = field(default_factory=lambda: [0, 0, 0])
    """How many jobs wait, by level."""
    work_s: float = 0.0
    """Expected seconds of their tests."""


class _Placed(NamedTuple):
    """What a group counted for when it was placed last."""

    high: int
    medium: int
    low: int
    work_s: float


_NOTHING = _Placed(0, 0, 0, 0.0)


@dataclass(slots=True, eq=False)
class Index:
    """All rankings; `refresh` brings them up to date before the policy looks at them."""

    pools: dict[str, Pool] = field(default_factory=dict[str, Pool])
    """By capability; only those that somebody waits for."""
    builds: dict[Build, dict[int, Group]] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """The groups with waiting jobs, by build and number."""
    orgs: dict[str, int] = field(default_factory=dict[str, int])
    """How many jobs of each organisation wait that may start."""
    changed: dict[int, Group] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """Groups whose places may be wrong now, by number."""
    orphaned: dict[int, Group] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """Groups that had orphans, by number; some may have none any more."""
    slots_changed: bool = False
    """Whether a slot came, went, or may run other jobs than before."""
    mean_s: float = TEST_PRIOR_S
    """How long a test was expected to take when all groups were placed last: that changes seldom."""
    _placed: dict[int, _Placed] = field(default_factory=dict[int, _Placed])
    _numbered: int = 0

    def number(self) -> int:
        """The number of a new group."""
        self._numbered += 1
        return self._numbered

    def refresh(self, estimates: Estimates) -> None:
        """Put every group that changed into its places; all, when tests turn out to take another time."""
        mean_s = estimates.any_test.value
        if not 1 / _ANOTHER < mean_s / self.mean_s < _ANOTHER:
            self.mean_s = mean_s
            for groups in self.builds.values():
                self.changed.update(groups)
        if self.changed:
            for group in self.changed.values():
                self._place(group, estimates)
            self.changed.clear()

    def _place(self, group: Group, estimates: Estimates) -> None:
        capability = group.key.capability
        pool = self.pools.get(capability)
        if pool is None:
            if not group.waiting:
                return
            pool = self.pools[capability] = Pool(capability, group.labels)
        work_s = group.work_s(estimates.group(group.key))
        self._count(group, pool, work_s)
        for level, turns in enumerate(pool.turns):
            queue = group.top(level) if group.levels[level] else None
            if queue is None:
                turns.put(group, None)
            else:
                head = queue.oldest()
                turns.put(group, (-head.priority, head.arrived_at, head.order))
        oldest = group.oldest()
        pool.ages.put(group, None if oldest is None else (oldest.arrived_at, oldest.order, 0))
        most_urgent = group.level()
        for level, shares in enumerate(pool.shares):
            if level == most_urgent:
                shares.put(group, (-work_s / (group.busy + 1), 0.0, 0))
            else:
                shares.put(group, None)
        if not pool.ages:
            del self.pools[capability]

    def _count(self, group: Group, pool: Pool, work_s: float) -> None:
        """Correct what is counted of the group: in its pool, its organisation, and for its build."""
        high, medium, low = group.levels
        before, after = self._placed.get(group.number, _NOTHING), _Placed(high, medium, low, work_s)
        if before == after:
            return
        waiting, waited = group.waiting, before.high + before.medium + before.low
        pool.work_s += after.work_s - before.work_s
        for level, (now, then) in enumerate(zip(after[:3], before[:3], strict=True)):
            pool.waiting[level] += now - then
        org, build = group.key.org_id, group.key[1:]
        total = self.orgs[org] = self.orgs.get(org, 0) + waiting - waited
        if not total:
            del self.orgs[org]
        if waiting:
            self._placed[group.number] = after
            self.builds.setdefault(build, {})[group.number] = group
            return
        del self._placed[group.number]
        groups = self.builds[build]
        del groups[group.number]
        if not groups:
            del self.builds[build]
