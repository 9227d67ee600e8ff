"""The policy: which free slot gets which waiting job next. `docs/placement.md` says why.

1. Work whose slot was lost. 2. The oldest aged work, once in so many starts. 3. Urgent work. 4. Ordinary
work: medium before low, staying on the build that a slot has; a slot changes its build for medium work
that is due, or where that pays. At the end of a backlog, what would be done last.
"""

from __future__ import annotations

from collections.abc import Callable

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import Job, LabState, Slot
from qgjob.domain.placement.policy.aged import aged
from qgjob.domain.placement.policy.fairness import favoured
from qgjob.domain.placement.policy.ordinary import ordinary
from qgjob.domain.placement.policy.urgent import urgent
from qgjob.domain.placement.policy.view import Choice, View

__all__ = ["Choice", "Chooser", "choose"]

Chooser = Callable[[LabState, float], Choice | None]
"""A policy: the next pair, or None when no free slot should take anything now."""


def choose(state: LabState, now: float) -> Choice | None:
    """The next pair, or None when no free slot should take anything now."""
    state.index.refresh(state.estimates)
    state.measures.advance(state, now)
    view = View.of(state, now)
    view.favoured = favoured(state)
    choice = _orphan(view) or aged(view) or urgent(view) or ordinary(view)
    if choice is not None and choice[2] is not None:
        _measure(view, choice[0], choice[1], choice[2])
    return choice


def _measure(view: View, slot: Slot, group: Group, job: Job) -> None:
    install_s = 0.0 if slot.held or group.key[1:] in slot.installed else view.install_s(group)
    starts = max(view.now, slot.until) + install_s
    view.state.measures.started(
        group,
        job,
        starts - job.arrived_at,
        view.now - job.arrived_at,
        as_aged=view.as_aged,
        oldest_s=view.oldest_s,
        most_owed=view.most_owed,
    )


def _orphan(view: View) -> Choice | None:
    orphaned = view.state.index.orphaned
    for number, group in list(orphaned.items()):
        if not group.orphans:
            del orphaned[number]
            continue
        if group.key in view.state.refused:
            continue
        fitting = [slot for slot in view.idle if group.labels <= slot.labels]
        if fitting:
            avoid, key = view.state.out[min(group.orphans)].job.avoid, group.key
            slot = min(fitting, key=lambda s: (s.name in avoid, s.bound != key, s.last_used, s.name))
            return slot, group, None, "takes over work whose slot was lost"
    return None
