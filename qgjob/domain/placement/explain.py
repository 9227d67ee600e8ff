"""Why a job waits, about when it will start, and what would change that: from the state alone. Pure."""

from __future__ import annotations

from shlex import quote
from typing import Final

from bus_schemas.agents import GroupRef
from bus_schemas.explain import ExplainAnswer, Gate
from bus_schemas.queries import JobState
from qgjob.domain.commands import resume_build, resume_queue
from qgjob.domain.placement import blocking
from qgjob.domain.placement.model import GroupKey, Job, LabState, Released
from qgjob.domain.placement.queue_position import (
    Position,
    aging_note,
    fairness_reason,
    orgs_ahead,
    position_of,
)
from qgjob.domain.placement.rules import Pause
from qgjob.domain.placement.run_gates import Usage
from qgjob.domain.placement.slot_reasons import SlotExplainer, SlotReason, group_reasons

MAX_CHANGES: Final = 6
_RAISE_CONSUMERS: Final = (
    "Allow more consumers in nats-server: `max_consumers` of the account, if it has one, and of QG_WORK."
)
_LIMITS: Final = frozenset({"org_limit", "run_limit"})
"""Gates that let in the most urgent first."""
_BRIEF: Final = 400
_TAKEN: Final = frozenset({"busy", "other_work"})


def explain(state: LabState, job_id: str, now: float) -> ExplainAnswer | None:
    """Why a job that has not ended is where it is; None when placement does not know it."""
    job = state.jobs.get(job_id)
    if job is not None:
        return _explain_waiting(state, job, now)
    released = state.in_flight.get(job_id)
    return None if released is None else _explain_in_flight(state, released, now)


def gates_of(state: LabState, job: Job) -> list[Gate]:
    """What keeps a waiting job from starting, whatever slot is free."""
    gates: list[Gate] = []
    key = job.group
    if job.delayed:
        gates.append(Gate(kind="not_before", why="its time has not come", until=job.not_before))
    gates += [_pause_gate(pause) for pause in state.rules.pauses if pause.covers(key)]
    held = state.held_builds.get((key.org_id, key.app_version_id))
    if held is not None:
        fix = f"See to the build, then: {resume_build(key.org_id, key.app_version_id)}"
        gates.append(Gate(kind="build_held", why=held.why[:4000], until=held.until, fix=fix))
    limit, in_flight = state.rules.limits.get(key.org_id), state.org_in_flight.get(key.org_id, 0)
    if limit is not None and in_flight >= limit:
        why = f"the organisation {key.org_id} may have {_jobs(limit)} running at once, and has {in_flight}"
        fix = f"Raise the limit: qgjob queue limit --org-id {quote(key.org_id)} --max-running {limit + 1}"
        gates.append(Gate(kind="org_limit", why=why, fix=fix))
    if state.max_groups is not None and blocking.waits_for_room(state, key):
        why = (
            f"the server has room for {_groups(state.max_groups)} (a build with its labels) at once, "
            f"and {_why_no_room(state, key)}"
        )
        gates.append(Gate(kind="no_room", why=why, fix=_RAISE_CONSUMERS))
    run_gate = _run_gate(state, job)
    return gates if run_gate is None else [*gates, run_gate]


def _run_gate(state: LabState, job: Job) -> Gate | None:
    usage = state.run_gates.usage_of(job.run_id) if job.max_parallel is not None else None
    if usage is None:
        return None
    limit, in_flight = usage
    if not job.parked and not (job.delayed and in_flight >= limit):
        return None
    rest = f"and {in_flight} are" if in_flight >= limit else "and others of it go first"
    return Gate(
        kind="run_limit",
        why=f"its run may have {_jobs(limit)} running at once, {rest}",
        fix="Wait for a job of its run to end: it was submitted with --max-parallel.",
    )


def _why_no_room(state: LabState, key: GroupKey) -> str:
    if key in state.yielding:
        return "its group makes room for others: once its jobs that are out have ended, it waits for its turn"
    if key in state.refused:
        return "none yet for the jobs of its group that are out already"
    return "as many have jobs out"


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


def _pause_gate(pause: Pause) -> Gate:
    what = [f"the organisation {pause.org_id}"] if pause.org_id else []
    what += [f"the capability {pause.capability}"] if pause.capability else []
    why = f"{' with '.join(what) or 'the whole queue'} is paused{pause.whose}"
    fix = f"Resume it: {resume_queue(pause.org_id, pause.capability)}"
    return Gate(kind="paused", why=why[:4000], fix=fix)


def _explain_waiting(state: LabState, job: Job, now: float) -> ExplainAnswer:
    gates = gates_of(state, job)
    position = position_of(state, job)
    orgs = [] if gates else orgs_ahead(state, job)
    explainer = SlotExplainer(state, job, now, gated=bool(gates), first=not position.ahead, orgs_ahead=orgs)
    reasons = [explainer.explain(slot) for slot in state.slots.values()]
    job_state: JobState = "scheduled" if job.delayed else "queued"
    return ExplainAnswer(
        job_id=job.job_id,
        state=job_state,
        attempt=job.attempt,
        summary=" ".join(
            filter(None, (_summary(gates, reasons, position.ahead, orgs), aging_note(job, now)))
        ),
        group=_group_ref(job),
        priority=job.priority,
        waited_s=max(0.0, now - job.arrived_at),
        ahead=position.ahead,
        group_waiting=position.waiting,
        class_waiting=state.depths[job.level],
        urgent_waiting=sum(state.depths[: job.level]),
        gates=tuple(gates),
        slots=group_reasons(reasons),
        slots_total=len(reasons),
        starts_at=_starts_at(state, job, gates, reasons, position, now),
        changes=tuple(_changes(state, job, gates, reasons, orgs)[:MAX_CHANGES]),
    )


def _explain_in_flight(state: LabState, released: Released, now: float) -> ExplainAnswer:
    job = released.job
    explainer = SlotExplainer(state, job, now, gated=False, first=True)
    reasons = [
        SlotReason(slot.name, "chosen", "it runs there" if released.started else "it was released to it")
        if slot.name == released.slot
        else explainer.explain(slot)
        for slot in state.slots.values()
    ]
    shown = reasons if released.slot is None else [r for r in reasons if r.kind == "chosen"]
    return ExplainAnswer(
        job_id=job.job_id,
        state="running" if released.started else "dispatched",
        attempt=job.attempt,
        summary=_in_flight_summary(state, released),
        group=_group_ref(job),
        priority=job.priority,
        slots=group_reasons(shown),
        slots_total=len(reasons),
        changes=tuple(_changes(state, job, [], reasons, [])[:MAX_CHANGES]) if released.slot is None else (),
    )


def _in_flight_summary(state: LabState, released: Released) -> str:
    if released.job.group in state.refused:
        return "It was released, but the server has no room for its group (a build with its labels) yet."
    if released.started:
        return f"It runs on {released.slot}."
    if released.slot is None:
        return "It was released, but its slot is lost or held: the next slot of its group takes it."
    slot = state.slots.get(released.slot)
    busy = slot is not None and any(other.started for other in slot.assigned.values())
    when = "takes it after what it runs now" if busy else "is about to take it"
    return f"It was released to {released.slot}, which {when}."


def _summary(gates: list[Gate], reasons: list[SlotReason], ahead: int | None, orgs: list[str]) -> str:
    able = [reason for reason in reasons if reason.kind != "labels"]
    if gates:
        never = [] if able else [f"and no slot can ever run it: {_why_no_labels(reasons)}"]
        return f"It waits: {'; '.join([*(_brief(gate.why) for gate in gates), *never])}."
    if not able:
        return f"No slot can ever run it: {_why_no_labels(reasons)}."
    working = [reason for reason in able if reason.kind not in {"held", "out_of_order"}]
    of = f"{len(able)} of {len(reasons)} slots could run it"
    if not working:
        whys = sorted({reason.why for reason in able})
        return f"It waits: {of}, and none of them takes anything ({'; '.join(map(_brief, whys[:3]))})."
    first = (
        ""
        if ahead == 0
        else " very many jobs go first;"
        if ahead is None
        else f" {_jobs(ahead)} of its build {'goes' if ahead == 1 else 'go'} first;"
    )
    if orgs:
        first += f" {fairness_reason(orgs)};"
    busy = sum(1 for reason in working if reason.kind == "busy")
    busy_note = ", all are busy" if busy == len(working) else f", {busy} are busy" if busy else ""
    return f"It waits for its turn:{first} {of}{busy_note}."


def _why_no_labels(reasons: list[SlotReason]) -> str:
    """Why no slot has all labels."""
    if not reasons:
        return "no agent is connected"
    nowhere = set(reasons[0].missing).intersection(*(reason.missing for reason in reasons))
    if nowhere:
        return f"no slot has {', '.join(sorted(nowhere))}"
    nearest = min(reasons, key=lambda reason: (len(reason.missing), reason.slot))
    return f"no slot has all of its labels; the nearest, {nearest.slot}, lacks {', '.join(nearest.missing)}"


def _changes(
    state: LabState, job: Job, gates: list[Gate], reasons: list[SlotReason], orgs: list[str]
) -> list[str]:
    """What would let it start sooner, the most helpful first."""
    changes = [gate.fix for gate in gates if gate.fix]
    able = [reason for reason in reasons if reason.kind != "labels"]
    labels = "" if job.group.capability == "any" else f" with {job.group.capability.replace('+', ', ')}"
    if not able:
        return [*changes, f"Connect a slot{labels}: {_why_no_labels(reasons)}."]
    held = {reason.resume: reason.why for reason in able if reason.resume is not None}
    changes += [
        f"Let {name} work again ({_brief(why)}): qgjob agents resume {name}"
        for name, why in list(held.items())[:2]
    ]
    broken = [reason for reason in able if reason.kind == "out_of_order"]
    changes += [f"See to {reason.slot}: {_brief(reason.why)}." for reason in broken[:2]]
    taken = not gates and any(reason.kind in _TAKEN for reason in able)
    if job.priority < 10 and (taken or (gates and _LIMITS.issuperset(gate.kind for gate in gates))):
        changes.append(f"Make it more urgent: qgjob reprioritise {job.job_id} 10")
    if orgs:
        org = job.group.org_id
        weight = f"{2 * state.index.orgs.weight(org):g}"
        changes.append(
            f"Give {org} a larger share: qgjob queue limit --org-id {quote(org)} --weight {weight}"
        )
    if taken:
        changes.append(f"Add a slot{labels}.")
    return changes


def _starts_at(
    state: LabState, job: Job, gates: list[Gate], reasons: list[SlotReason], position: Position, now: float
) -> float | None:
    """About when it starts: the slots that could run it do first what goes before; None: unknown."""
    able = [reason for reason in reasons if reason.free_at is not None]
    if not able or position.ahead is None:
        return None
    not_before = now
    for gate in gates:
        until = gate.until
        if gate.kind in _LIMITS and not job.delayed:
            until = now + _limit_s(state, job, gate.kind, position.ahead)
        if until is None:
            return None
        not_before = max(not_before, until)
    ahead = 0 if any(gate.kind in _LIMITS for gate in gates) else position.ahead
    work_s = ahead * state.estimates.group(job.group) + _more_urgent_s(state, job)
    free_times = sorted(max(not_before, reason.free_at or not_before) for reason in able)
    start = _first_free_after(free_times, work_s)
    build = (job.group.org_id, job.group.app_version_id)
    return start + (0.0 if any(reason.has_build for reason in able) else state.estimates.install(*build))


def _limit_s(state: LabState, job: Job, kind: str, ahead: int) -> float:
    """Seconds until a run or organisation has room for a job: those in flight and ahead end in turn."""
    org = job.group.org_id
    of_org = Usage(state.rules.limits.get(org, 1), state.org_in_flight.get(org, 0))
    limit, in_flight = of_org if kind == "org_limit" else state.run_gates.usage_of(job.run_id) or Usage(1, 0)
    return max(0, ahead + 1 + in_flight - limit) * state.estimates.group(job.group) / limit


def _more_urgent_s(state: LabState, job: Job) -> float:
    """Seconds of tests of more urgent classes in other groups."""
    if not job.level:
        return 0.0
    return sum(
        group.work_s(state.estimates.group(key), levels=job.level)
        for key, group in state.active.items()
        if key != job.group and any(group.levels[: job.level])
    )


def _first_free_after(free_times: list[float], work_s: float) -> float:
    """When a slot is free that does so much work together with others; `free_times` of each, sorted."""
    done_s, at = 0.0, free_times[0]
    for count, free_at in enumerate(free_times[1:], start=1):
        if done_s + count * (free_at - at) >= work_s:
            return at + (work_s - done_s) / count
        done_s += count * (free_at - at)
        at = free_at
    return at + (work_s - done_s) / len(free_times)


def _brief(why: str) -> str:
    """A reason among others; in full it stands with its gate or slot."""
    return why if len(why) <= _BRIEF else f"{why[: _BRIEF - 1]}…"


def _group_ref(job: Job) -> GroupRef:
    capability, org_id, version = job.group
    return GroupRef(capability=capability, org_id=org_id, app_version_id=version)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
