"""Why a job waits, about when it will start, and what would change that: from the state alone. Pure."""

from __future__ import annotations

from shlex import quote
from typing import Final

from bus_schemas.agents import GroupRef
from bus_schemas.explain import ExplainAnswer, Gate
from bus_schemas.queries import JobState
from qgjob.domain.commands import resume_build, resume_queue
from qgjob.domain.placement import shelves
from qgjob.domain.placement.gates import Pause
from qgjob.domain.placement.model import GroupKey, Job, LabState, Released
from qgjob.domain.placement.slotwhys import Question, SlotWhy, gathered
from qgjob.domain.placement.turns import Place, ageing, fairness, first_orgs, place_of

MAX_CHANGES: Final = 6
_MORE_ROOM: Final = (
    "Allow more consumers in nats-server: `max_consumers` of the account, if it has one, and of QG_WORK."
)
_LIMITS: Final = frozenset({"org_limit", "run_limit"})
"""What lets in the most urgent first."""
_TAKEN: Final = frozenset({"busy", "other_work"})


def explain(state: LabState, job_id: str, now: float) -> ExplainAnswer | None:
    """Why a job that has not ended is where it is; None when placement does not know it."""
    job = state.jobs.get(job_id)
    if job is not None:
        return _waiting(state, job, now)
    released = state.out.get(job_id)
    return None if released is None else _out(state, released, now)


def gates_of(state: LabState, job: Job) -> list[Gate]:
    """What keeps a job from starting, whatever slot is free."""
    gates: list[Gate] = []
    key = job.group
    if job.delayed:
        gates.append(Gate(kind="not_before", why="its time has not come", until=job.not_before))
    gates += [_paused(pause) for pause in state.rules.pauses if pause.holds(key)]
    held = state.held_builds.get((key.org_id, key.app_version_id))
    if held is not None:
        fix = f"See to the build, then: {resume_build(key.org_id, key.app_version_id)}"
        gates.append(Gate(kind="build_held", why=held.why[:4000], until=held.until, fix=fix))
    limit, out = state.rules.limits.get(key.org_id), state.org_out.get(key.org_id, 0)
    if limit is not None and out >= limit:
        why = f"the organisation {key.org_id} may have {_jobs(limit)} running at once, and has {out}"
        fix = f"Raise the limit: qgjob queue limit --org-id {quote(key.org_id)} --max-running {limit + 1}"
        gates.append(Gate(kind="org_limit", why=why, fix=fix))
    if state.most_groups is not None and shelves.waits_for_room(state, key):
        why = (
            f"the server has room for {_groups(state.most_groups)} (a build with its labels) at once, "
            f"and {_no_room(state, key)}"
        )
        gates.append(Gate(kind="no_room", why=why, fix=_MORE_ROOM))
    gate = state.gates.state_of(job.run_id) if job.max_parallel is not None else None
    if gate is not None and (job.parked or (job.delayed and gate[1] >= gate[0])):
        rest = f"and {gate[1]} are" if gate[1] >= gate[0] else "and others of it go first"
        why = f"its run may have {_jobs(gate[0])} running at once, {rest}"
        fix = "Wait for a job of its run to end: it was submitted with --max-parallel."
        gates.append(Gate(kind="run_limit", why=why, fix=fix))
    return gates


def _no_room(state: LabState, key: GroupKey) -> str:
    if key in state.yields:
        return "its group makes room for others: once its jobs that are out have ended, it waits for its turn"
    if key in state.refused:
        return "none yet for the jobs of its group that are out already"
    return "as many have jobs out"


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


def _paused(pause: Pause) -> Gate:
    what = [f"the organisation {pause.org_id}"] if pause.org_id else []
    what += [f"the capability {pause.capability}"] if pause.capability else []
    why = f"{' with '.join(what) or 'the whole queue'} is paused"
    return Gate(kind="paused", why=why, fix=f"Resume it: {resume_queue(pause.org_id, pause.capability)}")


def _waiting(state: LabState, job: Job, now: float) -> ExplainAnswer:
    gates = gates_of(state, job)
    place = place_of(state, job)
    orgs = [] if gates else first_orgs(state, job)
    question = Question(state, job, now, gated=bool(gates), first=not place.ahead, orgs=orgs)
    whys = [question.why(slot) for slot in state.slots.values()]
    waiting_state: JobState = "scheduled" if job.delayed else "queued"
    return ExplainAnswer(
        job_id=job.job_id,
        state=waiting_state,
        attempt=job.attempt,
        summary=" ".join(filter(None, (_summary(gates, whys, place.ahead, orgs), ageing(job, now)))),
        group=_ref(job),
        priority=job.priority,
        waited_s=max(0.0, now - job.arrived_at),
        ahead=place.ahead,
        group_waiting=place.waiting,
        class_waiting=state.depths[job.level],
        urgent_waiting=sum(state.depths[: job.level]),
        gates=tuple(gates),
        slots=gathered(whys),
        slots_total=len(whys),
        starts_at=_starts_at(state, job, gates, whys, place, now),
        changes=tuple(_changes(state, job, gates, whys, orgs)[:MAX_CHANGES]),
    )


def _out(state: LabState, released: Released, now: float) -> ExplainAnswer:
    job = released.job
    question = Question(state, job, now, gated=False, first=True)
    whys = [
        SlotWhy(slot.name, "chosen", "it runs there" if released.started else "it was released to it")
        if slot.name == released.slot
        else question.why(slot)
        for slot in state.slots.values()
    ]
    if job.group in state.refused:
        summary = "It was released, but the server has no room for its group (a build with its labels) yet."
    elif released.started:
        summary = f"It runs on {released.slot}."
    elif released.slot is not None:
        slot = state.slots.get(released.slot)
        busy = slot is not None and any(other.started for other in slot.held.values())
        when = "takes it after what it runs now" if busy else "is about to take it"
        summary = f"It was released to {released.slot}, which {when}."
    else:
        summary = "It was released, but its slot is lost or held: the next slot of its group takes it."
    return ExplainAnswer(
        job_id=job.job_id,
        state="running" if released.started else "dispatched",
        attempt=job.attempt,
        summary=summary,
        group=_ref(job),
        priority=job.priority,
        slots=gathered(whys) if released.slot is None else gathered(w for w in whys if w.kind == "chosen"),
        slots_total=len(whys),
        changes=tuple(_changes(state, job, [], whys, [])[:MAX_CHANGES]) if released.slot is None else (),
    )


def _summary(gates: list[Gate], whys: list[SlotWhy], ahead: int | None, orgs: list[str]) -> str:
    if gates:
        return f"It waits: {'; '.join(gate.why for gate in gates)}."
    able = [why for why in whys if why.kind != "labels"]
    if not able:
        return f"No slot can ever run it: {_nobody(whys)}."
    working = [why for why in able if why.kind not in {"held", "out_of_order"}]
    of = f"{len(able)} of {len(whys)} slots could run it"
    if not working:
        reasons = sorted({why.why for why in able})
        return f"It waits: {of}, and none of them takes anything ({'; '.join(reasons[:3])})."
    first = (
        ""
        if ahead == 0
        else " very many jobs go first;"
        if ahead is None
        else f" {_jobs(ahead)} of its build {'goes' if ahead == 1 else 'go'} first;"
    )
    if orgs:
        first += f" {fairness(orgs)};"
    busy = sum(1 for why in working if why.kind == "busy")
    state = ", all are busy" if busy == len(working) else f", {busy} are busy" if busy else ""
    return f"It waits for its turn:{first} {of}{state}."


def _nobody(whys: list[SlotWhy]) -> str:
    """Why no slot's labels fit."""
    if not whys:
        return "no agent is connected"
    nowhere = set(whys[0].missing).intersection(*(why.missing for why in whys))
    if nowhere:
        return f"no slot has {', '.join(sorted(nowhere))}"
    nearest = min(whys, key=lambda why: (len(why.missing), why.slot))
    return f"no slot has all of its labels; the nearest, {nearest.slot}, lacks {', '.join(nearest.missing)}"


def _changes(state: LabState, job: Job, gates: list[Gate], whys: list[SlotWhy], orgs: list[str]) -> list[str]:
    """What would let it start sooner, the most helpful first."""
    found = [gate.fix for gate in gates if gate.fix]
    able = [why for why in whys if why.kind != "labels"]
    labels = "" if job.group.capability == "any" else f" with {job.group.capability.replace('+', ', ')}"
    if not able:
        return [*found, f"Connect a slot{labels}: {_nobody(whys)}."]
    held = {why.resume: why.why for why in able if why.resume is not None}
    found += [
        f"Let {name} work again ({why}): qgjob agents resume {name}" for name, why in list(held.items())[:2]
    ]
    found += [f"See to {why.slot}: {why.why}." for why in able if why.kind == "out_of_order"][:2]
    taken = not gates and any(why.kind in _TAKEN for why in able)
    if job.priority < 10 and (taken or (gates and _LIMITS.issuperset(gate.kind for gate in gates))):
        found.append(f"Make it more urgent: qgjob reprioritise {job.job_id} 10")
    if orgs:
        org = job.group.org_id
        weight = f"{2 * state.weights.get(org, 1.0):g}"
        found.append(f"Give {org} a larger share: qgjob queue limit --org-id {quote(org)} --weight {weight}")
    if taken:
        found.append(f"Add a slot{labels}.")
    return found


def _starts_at(
    state: LabState, job: Job, gates: list[Gate], whys: list[SlotWhy], place: Place, now: float
) -> float | None:
    """About when it starts: when the slots that could run it are through with what goes first."""
    able = [why for why in whys if why.free_at is not None]
    if not able or place.ahead is None:
        return None
    opens = now
    for gate in gates:
        until = gate.until
        if gate.kind == "run_limit" and not job.delayed:
            until = now + _run_s(state, job, place.ahead)
        if until is None:
            return None
        opens = max(opens, until)
    ahead = 0 if job.parked else place.ahead
    work = ahead * state.estimates.group(job.group) + _urgent_s(state, job)
    frees = sorted(max(opens, why.free_at or opens) for why in able)
    start = _filled(frees, work)
    build = (job.group.org_id, job.group.app_version_id)
    return start + (0.0 if any(why.has_build for why in able) else state.estimates.install(*build))


def _run_s(state: LabState, job: Job, ahead: int) -> float:
    """Seconds until a run at its limit has room for a job: those out and ahead end one after another."""
    gate = state.gates.state_of(job.run_id)
    if gate is None:
        return 0.0
    limit, out = gate
    return max(0, ahead + 1 + out - limit) * state.estimates.group(job.group) / limit


def _urgent_s(state: LabState, job: Job) -> float:
    """Seconds of tests in other groups that go first: more urgent classes."""
    if not job.level:
        return 0.0
    return sum(
        group.work_s(state.estimates.group(key), levels=job.level)
        for key, group in state.active.items()
        if key != job.group and any(group.levels[: job.level])
    )


def _filled(frees: list[float], work: float) -> float:
    """When slots that come free at these times have done so much work together, one of them then is free."""
    done, level = 0.0, frees[0]
    for count, free in enumerate(frees[1:], start=1):
        if done + count * (free - level) >= work:
            return level + (work - done) / count
        done += count * (free - level)
        level = free
    return level + (work - done) / len(frees)


def _ref(job: Job) -> GroupRef:
    capability, org_id, version = job.group
    return GroupRef(capability=capability, org_id=org_id, app_version_id=version)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
