"""Who waits where, sorted: what lets the policy decide without looking at every group."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qgjob.domain.estimates import Estimates
    from qgjob.domain.placement.groups import Group

Key = tuple[float, float, int]


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

    def first(self, count: int) -> list[Group]:
        """Some of the groups from the head."""
        return [group for _, _, group in self._sorted[:count]]

    def head(self) -> tuple[Key, Group] | None:
        """The first group and its key."""
        if not self._sorted:
            return None
        key, _, group = self._sorted[0]
        return key, group

    def __iter__(self) -> Iterator[Group]:
        return (group for _, _, group in self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)


@dataclass(slots=True, eq=False)
class Pool:
    """The groups with waiting jobs that need the same labels."""

    labels: frozenset[str]
    turns: tuple[Ranking, Ranking, Ranking] = field(default_factory=lambda: (Ranking(), Ranking(), Ranking()))
    """By level: the most urgent number first, then the longest wait."""
    ages: Ranking = field(default_factory=Ranking)
    """The longest wait first, of whatever priority."""
    shares: tuple[Ranking, Ranking, Ranking] = field(
        default_factory=lambda: (Ranking(), Ranking(), Ranking())
    )
    """By the most urgent level of the group: where one more slot would have the most work first."""


@dataclass(slots=True, eq=False)
class Index:
    """All rankings; brought up to date by `refresh`, before the policy looks at them."""

    pools: dict[str, Pool] = field(default_factory=dict[str, Pool])
    """By capability; only those that somebody waits for."""
    changed: dict[int, Group] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """Groups whose places may be wrong now, by number."""

    numbered: int = 0

    def number(self) -> int:
        """The number of a new group."""
        self.numbered += 1
        return self.numbered

    def refresh(self, estimates: Estimates) -> None:
        """Put every group that changed into its places."""
        if not self.changed:
            return
        for group in self.changed.values():
            self._place(group, estimates)
        self.changed.clear()

    def _place(self, group: Group, estimates: Estimates) -> None:
        capability = group.key.capability
        pool = self.pools.get(capability)
        if pool is None:
            if not group.waiting:
                return
            pool = self.pools[capability] = Pool(group.labels)
        for level, turns in enumerate(pool.turns):
            queue = group.top(level) if group.levels[level] else None
            if queue is None:
                turns.put(group, None)
            else:
                head = queue.oldest()
                turns.put(group, (-head.priority, head.arrived_at, head.order))
        oldest = group.oldest()
        pool.ages.put(group, None if oldest is None else (oldest.arrived_at, oldest.order, 0))
        level = group.level()
        share = 0.0
        if level is not None:
            share = group.work_s(estimates.group(group.key)) / (group.busy + 1)
        for other, shares in enumerate(pool.shares):
            shares.put(group, (-share, 0.0, 0) if other == level else None)
        if not pool.ages:
            del self.pools[capability]
