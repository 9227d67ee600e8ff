"""Builds that are overtaken: slots stay on builds to which ever more jobs come, while others wait too long.

Where pushes end, a slot is done with its build some time, and goes on. Where jobs come to many builds all
the time it never is: then it leaves its build for one that waits much longer, and that no slot works on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.model import Slot
from qgjob.domain.placement.policy.picks import give, spare
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 8
_YOUNG: Final = 0.5
"""A slot leaves a build whose oldest job of the level waits less than so much of what the other's does."""


class _Rule(NamedTuple):
    """When a job of a level waits too long."""

    usual: float
    """The quantile of the waits with first come, first served that is usual."""
    share: float
    """Too long is more than this share of it, the install included."""
    behind: float
    """Only while our waits are so far behind."""


_RULES: Final = {1: _Rule(0.95, 0.8, 0.7), 2: _Rule(1.0, 1.0, 0.0)}
"""By level. Medium work begins before it is behind, or it could not catch up; low work when it waits longer
than any would with first come, first served."""


def overtaken(view: View, pools: list[Pool], level: int) -> Choice | None:
    """The oldest job that waits too long, on a slot whose own work of the level is much younger."""
    if not view.idle:
        return None
    rule = _RULES[level]
    for pool in pools:
        record = view.record(pool)
        if not pool.waiting[level] or record.behind(level) < rule.behind:
            continue
        too_long_s = rule.share * view.usual_s(pool, level, rule.usual)
        if not too_long_s:
            continue
        for _, _, group in pool.turns[level].first(_LOOKED_AT):
            queue = group.top(level)
            if queue is None or view.workers(group):
                continue
            job = queue.oldest()
            age_s = view.now - job.arrived_at
            if age_s + view.install_s(group) < too_long_s:
                continue
            for slot in spare(view, group):
                if not _has_younger(view, slot, level, _YOUNG * age_s):
                    continue
                because = "it waits longer than is usual, while slots stay on other builds"
                if choice := give(view, slot, group, because, level=level, job=job):
                    return choice
    return None


def _has_younger(view: View, slot: Slot, level: int, age_s: float) -> bool:
    """Whether what waits for the slot's builds is less urgent, or of the level and not that old."""
    for mine, group in view.wanting(slot):
        if mine < level:
            return False
        queue = group.top(level) if mine == level else None
        if queue is not None and view.now - queue.oldest().arrived_at > age_s:
            return False
    return True
