"""What the core does when something happens to a slot: it reports, is lost, withheld or put on probation."""

from __future__ import annotations

from qgjob.domain.placement import assignment, job_events
from qgjob.domain.placement.events import SlotSeen
from qgjob.domain.placement.model import LabState, Slot, Withheld
from qgjob.domain.retry import MAX_AVOID


def on_seen(state: LabState, report: SlotSeen, now: float) -> None:
    """A slot reports; another instance of it than before has lost what the old one had."""
    slot = state.slots.get(report.name)
    if slot is not None and slot.instance != report.instance:
        on_lost(state, report.name)
        slot = None
    if slot is None:
        slot = state.slots[report.name] = Slot(report.name, report.labels, instance=report.instance)
    slot.labels = report.labels
    slot.accepting, slot.note = report.available, report.note
    slot.available = report.available and report.name not in state.withheld
    slot.installed = report.installed
    if report.bound != slot.bound:
        assignment.correct_binding(state, slot, report.bound)
    for job_id in state.awaited.pop(report.name, {}):
        if job_id != report.job_id:
            assignment.orphan_if_absent(state, job_id, report.name)  # run by an agent that was here before
    released = state.in_flight.get(report.job_id or "")
    if released is not None and report.attempt in {None, released.job.attempt}:
        job_events.on_started(state, released.job.job_id, released.job.attempt, report.name, now)
    if not slot.available:
        assignment.orphan_unstarted(state, slot)
    assignment.refresh_slot(state, slot)


def on_lost(state: LabState, name: str) -> None:
    """A slot is gone: its jobs become orphans."""
    slot = state.slots.pop(name, None)
    state.free.pop(name, None)
    if slot is None:
        return
    for released in slot.assigned.values():
        if released.started:  # perhaps it is the job that brings it down
            released.job.avoid = (*released.job.avoid, name)[-MAX_AVOID:]
        assignment.orphan(state, released)
    slot.assigned.clear()
    state.index.slots_changed = True
    assignment.refresh_worker(state, slot)
    if slot.bound is not None and (group := state.groups.get(slot.bound)):
        group.slots.discard(name)
        assignment.refresh_group(state, group)


def withhold(state: LabState, name: str, why: Withheld | None) -> None:
    """Withhold a slot from placement, or with None give it back; it need not be connected."""
    state.withheld.pop(name, None)
    if why is not None:
        state.withheld[name] = why
    slot = state.slots.get(name)
    if slot is None:
        return
    slot.available = slot.accepting and why is None
    if not slot.available:
        assignment.orphan_unstarted(state, slot)
    assignment.refresh_slot(state, slot)


def probe(state: LabState, name: str, *, on: bool) -> None:
    """Give a slot one job at a time, or as many as others again."""
    (state.probing.add if on else state.probing.discard)(name)
    slot = state.slots.get(name)
    if slot is not None:
        assignment.refresh_slot(state, slot)


def orphan_behind_overdue(state: LabState, now: float) -> None:
    """Jobs assigned to a slot behind a test that is long overdue become orphans: other slots take them."""
    for slot in state.slots.values():
        if len(slot.assigned) > 1 and assignment.is_overdue(slot, now):
            assignment.orphan_unstarted(state, slot)
            assignment.refresh_slot(state, slot)


def stop_awaiting(state: LabState, now: float) -> None:
    """Jobs believed to run on slots that did not report themselves in time become orphans."""
    for name in [name for name, jobs in state.awaited.items() if any(at <= now for at in jobs.values())]:
        for job_id in state.awaited.pop(name):
            assignment.orphan_if_absent(state, job_id, name)
