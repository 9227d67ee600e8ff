"""Where an install costs next to nothing, no slot stays on its build for that: priority alone counts."""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.index import Pool, merge
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install
from qgjob.domain.placement.policy.view import Choice, View

_CHEAP: Final = 0.05
"""An install is cheap that takes no more than this share of a test."""
_SCAN_LIMIT: Final = 8


def choose_cheap_install(view: View, pools: list[Pool], level: int) -> Choice | None:
    """The most urgent job of a level, on a slot whose own builds only less urgent ones wait for."""
    if not view.idle:
        return None
    for group in merge((pool.by_priority[level] for pool in pools), _SCAN_LIMIT):
        if view.install_s(group) > _CHEAP * view.test_s(group) or not (queue := group.top_queue(level)):
            continue
        priority = queue.oldest().priority
        for slot in slots_for_install(view, group):
            waiting = [head.priority for _, other in view.waiting_groups(slot) if (head := other.head())]
            if waiting and max(waiting) < priority:
                because = "it is more urgent, and an install costs next to nothing"
                if choice := choose_job(view, slot, group, because, level=level):
                    return choice
    return None
