"""What an eviction costs: a slot is taken from a build for which jobs wait, and these wait longer."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qgjob.domain.placement.groups import Group

_LEVEL_WEIGHTS: Final = {1: 1.0, 2: 0.15}
"""By the level of those who wait: how much their waiting counts. Urgent work is not evicted."""
_AWAY_INSTALLS: Final = 5.0
"""A build that loses its only slot is taken to wait so many installs for another one,"""
_RETURN_INSTALLS: Final = 15.0
"""and that it has to be installed again counts as so many installs of waiting."""


def eviction_loss_s(group: Group, slots: int, work_s: float, install_s: float) -> float:
    """The seconds that a group's waiting jobs wait longer in sum when one of its `slots` is taken away.

    `work_s`: of its waiting tests. Builds with many slots for what waits lose little, and so do small ones.
    Infinite while urgent jobs wait; 0 when none wait.
    """
    level = group.top_level()
    if level is None:
        return 0.0
    if level == 0:
        return float("inf")
    weight = _LEVEL_WEIGHTS[level] * group.waiting
    if slots == 1:
        return (weight * _AWAY_INSTALLS + _RETURN_INSTALLS) * install_s
    return weight * work_s / (2 * slots * (slots - 1))


class Losses:
    """What each of many groups loses by one slot less, and how many slots are missed as much as that."""

    __slots__ = ("_of_slots", "by_group")

    def __init__(self) -> None:
        self.by_group: dict[int, tuple[float, int]] = {}
        """By number of the group: what it loses, and how many slots it has."""
        self._of_slots: list[float] = []
        """Sorted, once for each slot."""

    def put(self, number: int, loss_s: float, slots: int) -> None:
        """Note what a group with so many slots loses by one less; with no slots it is forgotten."""
        before = self.by_group.get(number)
        if before == (loss_s, slots):
            return
        if before is not None:
            place = bisect_left(self._of_slots, before[0])
            del self._of_slots[place : place + before[1]]
            del self.by_group[number]
        if slots:
            place = bisect_left(self._of_slots, loss_s)
            self._of_slots[place:place] = [loss_s] * slots
            self.by_group[number] = loss_s, slots

    def slots_from(self, loss_s: float) -> int:
        """How many slots are missed so much or more."""
        return len(self._of_slots) - bisect_left(self._of_slots, loss_s)
