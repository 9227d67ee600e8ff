"""Urgent work: strictly first, but without an install where a slot with the build comes free in time."""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merged
from qgjob.domain.placement.policy.picks import give, ready, spare
from qgjob.domain.placement.policy.scale import Slope, between
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 32
_INSTALLS: Final = 1.2
"""How many installs long urgent work waits for a slot that has the build, at least."""
_USUAL: Final = 0.8
"""The quantile of urgent waits with first come, first served, up to which it may wait."""
_TESTS: Final = 1.5
"""How many tests longer than an install it waits at most."""
_UNNOTICED_S: Final = 0.5
"""Waits that short matter to nobody."""
_UNCOUNTED: Final = 0.1
"""The share of a push that may wait longer."""
_HASTE: Final[Slope] = (0.85, 1.0, 1.05, 0.2)
"""By how far our urgent waits are behind: what remains of that patience."""


def urgent(view: View) -> Choice | None:
    """The next urgent job that gets a slot now."""
    pools = [pool for pool in view.state.index.pools.values() if pool.waiting[0]]
    if not pools:
        return None
    groups = merged((pool.turns[0] for pool in pools), _LOOKED_AT)
    if view.favoured:
        groups.sort(key=lambda group: group.key.org_id not in view.favoured)
    for group in groups:
        for slot in ready(view, group):
            if choice := give(view, slot, group, "urgent; the build is installed there", level=0):
                return choice
    if not view.idle:
        return None
    usual = {pool.capability: usual_s(view, pool) for pool in pools}
    for group in groups:
        if view.workers(group) and comes_free_s(view, group) <= patience_s(
            view, group, *usual[group.capability]
        ):
            continue
        for slot in spare(view, group):
            if choice := give(view, slot, group, "urgent; the build is installed first", level=0):
                return choice
    return None


def comes_free_s(view: View, group: Group) -> float:
    """How long until slots that have the build have taken the group's urgent jobs, but for a few."""
    workers = view.workers(group)
    if not workers:
        return float("inf")
    jobs = group.levels[0] * (1.0 - _UNCOUNTED)
    turn_s = group.running_s(view.now) / workers
    return turn_s * min(1.0, jobs / workers) + max(0.0, jobs - workers) * view.mean_s(group) / workers


def usual_s(view: View, of: Group | Pool) -> tuple[float, float]:
    """How long urgent jobs usually wait with first come, first served, and how much of that we may take.

    Less when our urgent jobs wait longer than they would there.
    """
    record = view.record(of)
    return record.line.waits[0].quantile(_USUAL) or 0.0, between(record.behind(0), _HASTE)


def patience_s(view: View, group: Group, usual_s: float, share: float) -> float:
    """How long urgent jobs of the group may wait for a slot that has the build.

    An install and some, or what is usual, if that is longer; but not much longer than an install.
    """
    install_s = view.install_s(group)
    most_s = min(max(_INSTALLS * install_s, usual_s), install_s + _TESTS * view.mean_s(group))
    return max(_UNNOTICED_S, most_s * share)
