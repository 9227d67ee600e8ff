"""What the core does when something happens to a slot: it reports, is lost, withheld or put on probation."""

from __future__ import annotations

from qgjob.domain.placement import holding, job_events
from qgjob.domain.placement.model import LabState, Slot, SlotSeen, Withheld
from qgjob.domain.retry import MAX_AVOID


def seen(state: LabState, report: SlotSeen, now: float) -> None:
    """A slot reports; another instance of it than before has lost what the old one held."""
    slot = state.slots.get(report.name)
    if slot is not None and slot.instance != report.instance:
        lost(state, report.name)
        slot = None
    if slot is None:
        slot = state.slots[report.name] = Slot(report.name, report.labels, instance=report.instance)
    slot.labels = report.labels
    slot.open, slot.note = report.available, report.note
    slot.available = report.available and report.name not in state.withheld
    slot.installed = report.installed
    if report.bound != slot.bound:
        holding.rebind(state, slot, report.bound)
    for job_id in state.awaited.pop(report.name, {}):
        if job_id != report.job_id:
            holding.not_held_by(state, job_id, report.name)  # by an agent that ran here before
    released = state.out.get(report.job_id or "")
    if released is not None and report.attempt in {None, released.job.attempt}:
        job_events.started(state, released.job.job_id, released.job.attempt, report.name, now)
    if not slot.available:
        _hand_on(state, slot)
    holding.settle_slot(state, slot)


def lost(state: LabState, name: str) -> None:
    """A slot is gone: what it held is for whoever is bound to the group."""
    slot = state.slots.pop(name, None)
    state.free.pop(name, None)
    if slot is None:
        return
    for released in slot.held.values():
        if released.started:  # perhaps it is the job that brings it down
            released.job.avoid = (*released.job.avoid, name)[-MAX_AVOID:]
        holding.orphan(state, released)
    slot.held.clear()
    state.index.slots_changed = True
    holding.count_for_group(state, slot)
    if slot.bound is not None and (group := state.groups.get(slot.bound)):
        group.slots.discard(name)
        holding.settle(state, group)


def withhold(state: LabState, name: str, why: Withheld | None) -> None:
    """Withhold a slot from placement, or with None give it back."""
    state.withheld.pop(name, None)
    if why is not None:
        state.withheld[name] = why
    slot = state.slots.get(name)
    if slot is None:
        return
    slot.available = slot.open and why is None
    if not slot.available:
        _hand_on(state, slot)
    holding.settle_slot(state, slot)


def probe(state: LabState, name: str, *, on: bool) -> None:
    """A slot on probation holds one job at a time."""
    (state.probing.add if on else state.probing.discard)(name)
    slot = state.slots.get(name)
    if slot is not None:
        holding.settle_slot(state, slot)


def _hand_on(state: LabState, slot: Slot) -> None:
    """What was released for a slot that takes nothing more, and did not start, is for others."""
    for released in [released for released in slot.held.values() if not released.started]:
        del slot.held[released.job.job_id]
        holding.orphan(state, released)


def hand_on_overdue(state: LabState, now: float) -> None:
    """What was released behind a test that takes far longer than was expected is for others."""
    for slot in state.slots.values():
        if len(slot.held) > 1 and holding.overdue(slot, now):
            _hand_on(state, slot)
            holding.settle_slot(state, slot)


def give_up_awaited(state: LabState, now: float) -> None:
    """Slots that jobs were said to run on, and that did not report in time, do not have them."""
    for name in [name for name, jobs in state.awaited.items() if any(at <= now for at in jobs.values())]:
        for job_id in state.awaited.pop(name):
            holding.not_held_by(state, job_id, name)
