"""`decide(state, event, now) -> (state, effects)`: bookkeeping around the policy.

The state is owned by the caller and changed in place, which a million waiting jobs demand; equal
histories give equal states and effects. There is no clock here and no I/O.
"""

from __future__ import annotations

from qgjob.domain.placement import holding, job_events, policy, shelves, slot_events, standing
from qgjob.domain.placement.holding import window
from qgjob.domain.placement.model import (
    BuildWithheld,
    Effect,
    Event,
    GroupsLetGo,
    GroupsLimited,
    JobArrived,
    JobEnded,
    JobReprioritised,
    JobStarted,
    JobWasReleased,
    JobWithdrawn,
    LabState,
    Release,
    Released,
    RulesChanged,
    SlotLost,
    SlotProbed,
    SlotSeen,
    SlotWithheld,
    Tick,
)

__all__ = ["decide", "dispatch", "note", "window"]


def decide(
    state: LabState, event: Event, now: float, *, choose: policy.Chooser = policy.choose
) -> tuple[LabState, list[Effect]]:
    """Take one event in and say what follows. `now`: seconds, never running backwards.

    `choose` is another policy than ours, for comparisons.
    """
    effects: list[Effect] = []
    note(state, event, now, effects)
    dispatch(state, now, effects, choose=choose)
    return state, effects


def note(state: LabState, event: Event, now: float, effects: list[Effect]) -> None:
    """Take an event in without dispatching: several may be noted before one `dispatch`."""
    match event:
        case JobArrived(job):
            job_events.arrived(state, job, now)
        case JobStarted(job_id, attempt, slot):
            job_events.started(state, job_id, attempt, slot, now)
        case JobEnded():
            job_events.ended(state, event, now)
        case SlotSeen():
            slot_events.seen(state, event, now)
        case SlotLost(name):
            slot_events.lost(state, name)
        case JobWithdrawn(job_id):
            job_events.withdrawn(state, job_id)
        case JobReprioritised(job_id, priority):
            job_events.reprioritised(state, job_id, priority, now)
        case RulesChanged(rules):
            state.rules = rules
            shelves.sort_out(state)
        case SlotWithheld(name, why):
            slot_events.withhold(state, name, why)
        case SlotProbed(name, on):
            slot_events.probe(state, name, on=on)
        case BuildWithheld(build, why):
            state.held_builds.pop(build, None)
            if why is not None:
                state.held_builds[build] = why
            shelves.sort_out(state, build[0])
        case GroupsLimited(most, refused):
            holding.hand_back(state, refused)
            shelves.limit(state, most, refused)
        case GroupsLetGo(groups):
            holding.unbind_all(state, groups)
        case JobWasReleased(job, slot):
            job_events.was_released(state, job, slot, now)
        case Tick():
            slot_events.give_up_awaited(state, now)
            slot_events.hand_on_overdue(state, now)
            job_events.come_due(state, now, effects)
            shelves.take_turns(state, now)
            if state.full and state.free:
                shelves.make_room(state)


def dispatch(
    state: LabState, now: float, effects: list[Effect], *, choose: policy.Chooser = policy.choose
) -> None:
    """Give work to free slots until the policy has nothing more for them."""
    while state.free and state.active:
        choice = choose(state, now)
        if choice is None:
            return
        slot, group, job, because = choice
        if slot.bound != group.key:
            holding.bind(state, slot, group, effects)
        if job is None:  # an orphan: it is in the work stream already, the slot need only be there
            orphan = min(group.orphans)
            group.orphans.discard(orphan)
            holding.hold(state, slot, state.out[orphan], now)
            holding.settle(state, group)
            continue
        group.remove(job)
        del state.jobs[job.job_id]
        state.depths[job.level] -= 1
        released = state.out[job.job_id] = Released(job, None)
        group.out += 1
        holding.hold(state, slot, released, now)
        holding.settle(state, group)
        slot.last_used = now
        standing.went_out(state, job, now)
        effects.append(Release(job, slot.name, because))
