"""What an eviction costs: a slot is taken from a build for which jobs wait, and these wait longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qgjob.domain.placement.groups import Group

_LEVEL_WEIGHTS: Final = (float("inf"), 1.0, 0.15)
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
    weight = _LEVEL_WEIGHTS[level] * group.waiting
    if slots == 1:
        return (weight * _AWAY_INSTALLS + _RETURN_INSTALLS) * install_s
    return weight * work_s / (2 * slots * (slots - 1))
