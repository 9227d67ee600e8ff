"""The policy: which free slot gets which waiting job next. `docs/placement.md` says why.

1. Work whose slot was lost. 2. The oldest aged work, once in so many starts. 3. Urgent work. 4. Ordinary
work: medium before low, staying on the build that a slot has; a slot changes its build for medium work
that is due, or where that pays. At the end of a backlog, what would be done last.
"""

from __future__ import annotations

from collections.abc import Callable

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import Job, LabState, Slot
from qgjob.domain.placement.policy.aged import choose_aged
from qgjob.domain.placement.policy.ordinary import choose_ordinary
from qgjob.domain.placement.policy.urgent import choose_urgent
from qgjob.domain.placement.policy.view import Choice, View

__all__ = ["Choice", "Chooser", "choose"]

Chooser = Callable[[LabState, float], Choice | None]
"""A policy: takes the state and the time, and returns the next choice, or None when no free slot should take
anything now."""


def choose(state: LabState, now: float) -> Choice | None:
    """The next choice of our policy, or None when no free slot should take anything now."""
    state.index.refresh(state.estimates)
    state.stats.advance(state, now)
    view = View.of(state, now)
    choice = _choose_orphan(view) or choose_aged(view) or choose_urgent(view) or choose_ordinary(view)
    view.slots_for_install.clear()  # they refer to the view: so it is let go of without a collector
    if choice is not None and choice[2] is not None:
        _record_start(view, choice[0], choice[1], choice[2])
    return choice


def _record_start(view: View, slot: Slot, group: Group, job: Job) -> None:
    install_s = 0.0 if slot.assigned or group.build in slot.installed else view.install_s(group)
    starts_at = max(view.now, slot.free_at) + install_s
    view.state.stats.on_start(
        group,
        job,
        starts_at - job.arrived_at,
        view.now - job.arrived_at,
        is_aged_start=view.is_aged_start,
        oldest_s=view.oldest_s,
        max_credit=view.max_aged_credit,
    )


def _choose_orphan(view: View) -> Choice | None:
    """A slot for a group with orphans: whoever is bound to the group is given them by the work stream."""
    orphaned = view.state.index.orphaned
    for number, group in list(orphaned.items()):
        if not group.orphans:
            del orphaned[number]
            continue
        if group.key in view.state.refused:
            continue
        able = [slot for slot in view.idle if group.labels <= slot.labels]
        if able:
            avoid, key = view.state.in_flight[min(group.orphans)].job.avoid, group.key
            slot = min(able, key=lambda s: (s.name in avoid, s.bound != key, s.last_used, s.name))
            return slot, group, None, "takes over work whose slot was lost"
    return None
