"""Builds that are overtaken: slots stay on builds to which ever more jobs come, while others wait too long.

Where pushes end, a slot is done with its build some time, and goes on. Where jobs come to many builds all
the time it never is: then it leaves its build for one that waits much longer, and that no slot works on. For
low work that waits longer than any would under FCFS it also joins others.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.model import Slot
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install
from qgjob.domain.placement.policy.view import Choice, View

_SCAN_LIMIT: Final = 8
_YOUNG: Final = 0.5
"""A slot leaves a build whose oldest job of the level waits less than so much of what the other's does."""
_MIN_WORK: Final = 2.0
"""A slot that joins others must find so many installs of work,"""
_MIN_LEFT: Final = 2.0
"""or the first of them must be busy for so many installs: late work does not wait for a long test to end."""
_MAX_MEDIUM_WAIT_RATIO: Final = 1.23
"""No slot joins others on low work while medium waits are longer than so many times those under FCFS."""


class _Rule(NamedTuple):
    """When a job of a level waits too long."""

    usual_quantile: float
    """The quantile of the waits under FCFS that is usual."""
    share: float
    """Too long is more than this share of the usual wait, the install included,"""
    min_wait_ratio: float
    """and only while our waits are at least so many times those under FCFS."""


_RULES: Final = {1: _Rule(0.95, 0.8, 0.784), 2: _Rule(1.0, 1.0, 0.0)}
"""By level. Medium work begins before its waits are longer than under FCFS, or it could not catch up; low
work when it waits longer than any would under FCFS."""


def choose_overtaken(view: View, pools: list[Pool], level: int) -> Choice | None:
    """The oldest job that waits too long, on a slot whose own work of the level is much younger."""
    if not view.idle:
        return None
    rule = _RULES[level]
    for pool in pools:
        if not pool.waiting[level] or view.wait_ratio(pool, level) < rule.min_wait_ratio:
            continue
        too_long_s = rule.share * view.usual_wait_s(pool, level, rule.usual_quantile)
        if not too_long_s:
            continue
        for _, arrived_at, _, _, group in pool.by_priority[level].ranked[:_SCAN_LIMIT]:
            if view.workers(group) and not _may_join(view, group, level):
                continue
            age_s = view.now - arrived_at
            queue = group.top_queue(level)
            if queue is None or age_s + view.install_s(group) < too_long_s:
                continue
            for slot in slots_for_install(view, group):
                if not _all_younger(view, slot, level, _YOUNG * age_s):
                    continue
                because = "it waits longer than is usual, while slots stay on other builds"
                if choice := choose_job(view, slot, group, because, level=level, job=queue.oldest()):
                    return choice
    return None


def _may_join(view: View, group: Group, level: int) -> bool:
    """Whether one more slot may work on an overtaken build that others work on."""
    if level < 2 or view.wait_ratio(group, 1) > _MAX_MEDIUM_WAIT_RATIO:
        return False
    if view.has_work_for_one_more(group, _MIN_WORK):
        return True
    left_s = min(view.free_times(group), default=view.now) - view.now
    return left_s > _MIN_LEFT * view.install_s(group)


def _all_younger(view: View, slot: Slot, level: int, age_s: float) -> bool:
    """Whether all jobs that wait for the slot's builds are less urgent, or of the level and not that old."""
    for own_level, group in view.waiting_groups(slot):
        if own_level < level:
            return False
        queue = group.top_queue(level) if own_level == level else None
        if queue is not None and view.now - queue.oldest().arrived_at > age_s:
            return False
    return True
