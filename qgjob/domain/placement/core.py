"""`decide(state, event, now) -> (state, effects)`: bookkeeping around the policy.

The state is owned by the caller and changed in place, which a million waiting jobs demand; equal
histories give equal states and effects. There is no clock here and no I/O.
"""

from __future__ import annotations

from qgjob.domain.placement import assignment, backlog, blocking, job_events, policy, slot_events
from qgjob.domain.placement.assignment import release_window
from qgjob.domain.placement.events import (
    BuildWithheld,
    Effect,
    Event,
    GroupsLimited,
    GroupsUnbound,
    JobArrived,
    JobEnded,
    JobReprioritised,
    JobStarted,
    JobWasReleased,
    JobWithdrawn,
    Release,
    RulesChanged,
    SlotLost,
    SlotProbed,
    SlotSeen,
    SlotWithheld,
    Tick,
)
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import Job, LabState, Released, Slot
from qgjob.domain.placement.stats import aged_credit_of

__all__ = ["apply_event", "decide", "dispatch", "release_window", "take_over"]


def decide(
    state: LabState, event: Event, now: float, *, choose: policy.Chooser = policy.choose
) -> tuple[LabState, list[Effect]]:
    """Apply one event, dispatch, and return the state and what follows.

    `now`: seconds, never running backwards. `choose`: another policy than ours, for comparisons.
    """
    effects: list[Effect] = []
    apply_event(state, event, now, effects)
    dispatch(state, now, effects, choose=choose)
    return state, effects


def take_over(state: LabState, now: float, aged_credit: float | None = None) -> None:
    """Go on with a backlog that another has placed before; `aged_credit`: what its aged work was owed then.

    If nobody has told, its age does. Who began with nothing would put it off for half an hour anew: for ever,
    where leaders change more often.
    """
    index = state.index
    index.refresh(state.estimates)
    if aged_credit is None:
        aged_credit = aged_credit_of(index.oldest_s(now), len(state.slots), index.test_s)
    state.stats.aged_credit = aged_credit


def apply_event(state: LabState, event: Event, now: float, effects: list[Effect]) -> None:
    """Apply an event without dispatching: several may be applied before one `dispatch`."""
    match event:
        case JobArrived(job):
            job_events.on_arrived(state, job, now)
        case JobStarted(job_id, attempt, slot):
            job_events.on_started(state, job_id, attempt, slot, now)
        case JobEnded():
            job_events.on_ended(state, event, now)
        case SlotSeen():
            slot_events.on_seen(state, event, now)
        case SlotLost(name):
            slot_events.on_lost(state, name)
        case JobWithdrawn(job_id):
            job_events.withdraw(state, job_id)
        case JobReprioritised(job_id, priority):
            job_events.reprioritise(state, job_id, priority, now)
        case RulesChanged(rules):
            state.rules = rules
            state.index.orgs.set_weights(rules.weights)
            state.stats.holds_stale = True
            blocking.reevaluate(state)
        case SlotWithheld(name, why):
            slot_events.withhold(state, name, why)
        case SlotProbed(name, on):
            slot_events.probe(state, name, on=on)
        case BuildWithheld(build, why):
            state.held_builds.pop(build, None)
            if why is not None:
                state.held_builds[build] = why
            state.stats.holds_stale = True
            blocking.reevaluate(state, build[0])
        case GroupsLimited(max_groups, refused):
            assignment.unassign_unpulled(state, refused)
            blocking.limit_groups(state, max_groups, refused)
        case GroupsUnbound(groups):
            assignment.unbind_all(state, groups)
        case JobWasReleased(job, slot):
            job_events.on_was_released(state, job, slot, now)
        case Tick():
            slot_events.stop_awaiting(state, now)
            slot_events.orphan_behind_overdue(state, now)
            job_events.process_timers(state, now, effects)
            blocking.rotate(state, now)
            if state.at_group_limit and state.free:
                blocking.update_group_limit(state)


def dispatch(
    state: LabState, now: float, effects: list[Effect], *, choose: policy.Chooser = policy.choose
) -> None:
    """Give work to free slots until the policy has nothing more for them; adds to `effects` what follows."""
    while state.free and state.active:
        choice = choose(state, now)
        if choice is None:
            return
        slot, group, job, because = choice
        if slot.bound != group.key:
            assignment.bind(state, slot, group, effects)
        if job is None:
            _assign_orphan(state, slot, group, now)
        else:
            _release(state, slot, group, job, now)
            effects.append(Release(job, slot.name, because))


def _assign_orphan(state: LabState, slot: Slot, group: Group, now: float) -> None:
    """Assign an orphan of the group: it is in the work stream already, the slot need only be bound."""
    job_id = min(group.orphans)
    group.orphans.discard(job_id)
    assignment.assign(state, slot, state.in_flight[job_id], now)
    assignment.refresh_group(state, group)


def _release(state: LabState, slot: Slot, group: Group, job: Job, now: float) -> None:
    group.remove(job)
    del state.jobs[job.job_id]
    state.depths[job.level] -= 1
    released = state.in_flight[job.job_id] = Released(job, None)
    group.in_flight += 1
    assignment.assign(state, slot, released, now)
    assignment.refresh_group(state, group)
    slot.last_used = now
    backlog.on_released(state, job, now)
