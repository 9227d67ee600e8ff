"""Every subject of qgjob: how it is built, and how it is read back.

| subject | carries |
|---|---|
| `qg.jobs.<high,medium,low>.<org>.<job>` | the backlog, one message a job |
| `qg.jobs.run.<org>.<run>` | the marker of a run; no consumer reads it |
| `qg.work.<capability>.<org>.<app>.<job>` | what is released to agents now |
| `qg.work.fence` | the epoch of the reigning leader |
| `qg.events.<org>.<run>.<job>.<attempt>.<state,info>` | what happened |
| `qg.logs.<org>.<job>.<attempt>` | output of a job, in chunks |
| `qg.dead.<origin>` | what could not be read, with its reason |
| `qg.history.<org>.<test>` | the last outcomes of each test |
| `qg.cron.<plan,due>.<org>.<schedule>` | schedules, and what is due by them |
| `qg.live.…` | events and logs once they are stored, repeated for live readers |
| `qg.slot.<agent>.<slot>.next` | a slot reports itself |
| `qg.agent.<agent>.<verb>` | to one agent |
| `qg.ctl.<verb>.<org>`, `qg.query.<name>.<org>` | requests |
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from bus_schemas.tokens import decode_token, encode_token

PriorityClass = Literal["high", "medium", "low"]
EventLane = Literal["state", "info"]

PRIORITY_CLASSES: Final[tuple[PriorityClass, ...]] = ("high", "medium", "low")

JOBS_ALL: Final = "qg.jobs.>"
WORK_ALL: Final = "qg.work.>"
WORK_FENCE: Final = "qg.work.fence"
EVENTS_ALL: Final = "qg.events.>"
EVENT_CHAINS: Final = "qg.events.*.*.*.*.state"
LOGS_ALL: Final = "qg.logs.>"
DEAD_ALL: Final = "qg.dead.>"
HISTORY_ALL: Final = "qg.history.>"
CRON_ALL: Final = "qg.cron.>"
CRON_PLANS: Final = "qg.cron.plan.*.*"
CRON_DUE: Final = "qg.cron.due.*.*"

LIVE_EVENTS: Final = "qg.live.events.>"
LIVE_OVERVIEW: Final = "qg.live.overview"
LIVE_AGENTS: Final = "qg.live.agents"

SLOT_NEXT_ALL: Final = "qg.slot.*.*.next"
HELLO: Final = "qg.hello"
REQUESTS: Final = "qg.ctl."
CTL_ALL: Final = f"{REQUESTS}*.*"
REQUEST_ID: Final = "Qg-Request"
"""A header of control requests: the same whenever one is sent again for want of an answer."""
QUERIES: Final = "qg.query."
QUERY_ALL: Final = f"{QUERIES}*.*"
ANY_ORG: Final = "any"


class JobSubject(NamedTuple):
    """The parts of a subject in `QG_JOBS`; an id is None when only the payload knows it."""

    priority: PriorityClass
    org: str | None
    job: str | None


def job(priority: PriorityClass, org: str, job_id: str) -> str:
    """Where a job waits."""
    return f"qg.jobs.{priority}.{encode_token(org)}.{encode_token(job_id)}"


def jobs_of(priority: PriorityClass) -> str:
    """All waiting jobs of one priority class."""
    return f"qg.jobs.{priority}.>"


def run_marker(org: str, run: str) -> str:
    """Where the marker of a run stands."""
    return f"qg.jobs.run.{encode_token(org)}.{encode_token(run)}"


def work(capability: str, org: str, app: str, job_id: str) -> str:
    """Where a released job is pulled from."""
    return f"{work_prefix(capability, org, app)}.{encode_token(job_id)}"


NO_WORK = "qg.work.none"
"""Where no job is ever released."""


def work_prefix(capability: str, org: str, app: str) -> str:
    """What all released jobs of a group have in common."""
    return f"qg.work.{encode_token(capability)}.{encode_token(org)}.{encode_token(app)}"


def work_filter(capability: str, org: str, app: str) -> str:
    """The filter of a group's consumer."""
    return f"{work_prefix(capability, org, app)}.*"


def event(org: str, run: str, job_id: str, attempt: int, lane: EventLane) -> str:
    """Where an attempt's claim chain (`state`) or its other events (`info`) go."""
    return f"qg.events.{encode_token(org)}.{encode_token(run)}.{encode_token(job_id)}.{attempt}.{lane}"


def logs(org: str, job_id: str, attempt: int) -> str:
    """Where the output of an attempt goes."""
    return f"qg.logs.{encode_token(org)}.{encode_token(job_id)}.{attempt}"


def dead(origin: str) -> str:
    """Where an unreadable message of a stream, or of a live subject, is set aside."""
    return f"qg.dead.{encode_token(origin)}"


def history(org: str | None, test: str) -> str:
    """Where the outcomes of a test stand; without `org`, of whatever organisation it is."""
    return f"qg.history.{encode_token(org) if org else '*'}.{encode_token(test)}"


def history_of(org: str | None) -> str:
    """The outcomes of all tests of an organisation, or of any."""
    return f"qg.history.{encode_token(org) if org else '*'}.*"


def live_run_events(run: str) -> str:
    """The stored events of one run, as they come."""
    return f"qg.live.events.*.{encode_token(run)}.>"


def live_job_events(job_id: str) -> str:
    """The stored events of one job, as they come."""
    return f"qg.live.events.*.*.{encode_token(job_id)}.>"


def live_logs(job_id: str) -> str:
    """The stored output of one job, all its attempts, as it comes."""
    return f"qg.live.logs.*.{encode_token(job_id)}.*"


def cron_plan(org: str, schedule: str) -> str:
    """Where a schedule stands."""
    return f"qg.cron.plan.{encode_token(org)}.{encode_token(schedule)}"


def cron_due(org: str, schedule: str) -> str:
    """Where the server repeats a schedule when its time has come."""
    return f"qg.cron.due.{encode_token(org)}.{encode_token(schedule)}"


def slot_next(agent: str, slot: str) -> str:
    """Where a slot says what it is, what it holds and that it is idle."""
    return f"qg.slot.{encode_token(agent)}.{encode_token(slot)}.next"


def agent_verb(agent: str, verb: str) -> str:
    """A command to one agent: `bind`, `cancel`, …."""
    return f"qg.agent.{encode_token(agent)}.{verb}"


def agent_all(agent: str) -> str:
    """All commands to one agent."""
    return f"qg.agent.{encode_token(agent)}.*"


def live_agent(agent: str) -> str:
    """Where an agent's heartbeats are heard."""
    return f"{LIVE_AGENTS}.{encode_token(agent)}"


def ctl(verb: str, org: str | None = None) -> str:
    """A request that only the leader answers."""
    return f"qg.ctl.{verb}.{encode_token(org or ANY_ORG)}"


def query(name: str, org: str | None = None) -> str:
    """A request that any replica answers."""
    return f"qg.query.{name}.{encode_token(org or ANY_ORG)}"


def parse_job(subject: str) -> JobSubject:
    """Read `qg.jobs.…`; raises `ValueError` when it is something else."""
    parts = subject.split(".")
    if len(parts) != 5 or not subject.startswith("qg.jobs."):
        raise ValueError(f"{subject!r} is not a subject of the form qg.jobs.…")
    priority, org, job_id = parts[2:]
    if priority not in PRIORITY_CLASSES:
        raise ValueError(f"{priority!r} is not a priority class")
    return JobSubject(priority, decode_token(org), decode_token(job_id))
