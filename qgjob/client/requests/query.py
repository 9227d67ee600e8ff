"""Queries, which any scheduler replica answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bus_schemas import subjects
from bus_schemas.logs import LogsAnswer, LogsQuery
from bus_schemas.queries import (
    AgentsAnswer,
    CheckView,
    GetAnswer,
    GetQuery,
    HealthAnswer,
    JobState,
    JobView,
    ListAnswer,
    ListQuery,
    Overview,
    Query,
    RunView,
)
from qgjob.bus.connect import Bus
from qgjob.bus.requester import NoRespondersError, RequestTimeoutError
from qgjob.client.checks import checked_made
from qgjob.client.ids import checked_any_id
from qgjob.client.requests.request import ANSWER_TIMEOUT_S, ask
from qgjob.errors import NotFoundError, UnknownIdError, UnreachableError

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat
    from bus_schemas.history import HistoryAnswer
    from bus_schemas.holds import SlotHold

PAGE: Final = 500
HEALTH_TIMEOUT_S: Final = 2.0
"""Whoever asks how the system is wants to know it soon; each check has 2.5 s of its own."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the query service knows of an id, with every event up to the stream sequence `as_of`."""

    found: JobView | RunView
    as_of: int | None


async def get(bus: Bus, any_id: str) -> JobView | RunView:
    """A job, or a run with all of its jobs by position; raises `NotFoundError`."""
    return (await look_up(bus, any_id)).found


async def job(bus: Bus, job_id: str) -> JobView:
    """A job; raises `NotFoundError`, also for a run's id."""
    found = await get(bus, job_id)
    if isinstance(found, RunView):
        raise NotFoundError(f"{job_id} is a run, not a job.", hint=f"Its jobs: qgjob status {job_id}")
    return found


async def run(bus: Bus, run_id: str) -> RunView:
    """A run with all of its jobs, by position; raises `NotFoundError`, also for a job's id."""
    found = await get(bus, run_id)
    if isinstance(found, JobView):
        raise NotFoundError(f"{run_id} is a job, not a run.", hint=f"It belongs to {found.run_id}.")
    return found


async def run_in_short(bus: Bus, run_id: str) -> RunView:
    """A run with its counts and the first of its jobs, if one is known; raises `NotFoundError`."""
    answer = await ask(bus, subjects.query("get"), GetQuery(id=run_id, limit=1), GetAnswer)
    if answer.run is None:
        raise NotFoundError(f"There is no run {run_id}.")
    return answer.run


async def look_up(bus: Bus, any_id: str) -> Known:
    """A job, or a run with all of its jobs; raises `NotFoundError`."""
    checked_any_id(any_id)
    by_id: dict[str, JobView] = {}
    offset = 0
    places: list[int | None] = []
    while True:
        answer = await ask(
            bus, subjects.query("get"), GetQuery(id=any_id, offset=offset, limit=PAGE), GetAnswer
        )
        places.append(answer.as_of)
        if answer.job is not None:
            return Known(answer.job, answer.as_of)
        if answer.run is None:
            raise UnknownIdError(any_id)
        # A run that changes between two pages may repeat a job: the later view counts.
        by_id |= {view.job_id: view for view in answer.run.jobs}
        offset += len(answer.run.jobs)
        if not answer.more or not answer.run.jobs:
            break
    ordered = sorted(by_id.values(), key=lambda view: view.position)
    as_of = min((place or 0 for place in places), default=0) if None not in places else None
    return Known(answer.run.model_copy(update={"jobs": tuple(ordered)}), as_of)


async def jobs(
    bus: Bus,
    *,
    state: JobState | None = None,
    org_id: str | None = None,
    app_version_id: str | None = None,
    run_id: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[JobView]:
    """Jobs that match, newest first."""
    found: dict[str, JobView] = {}
    asked, size = 0, min(PAGE, limit)
    while len(found) < limit:
        question = checked_made(
            "The list",
            ListQuery,
            state=state,
            org_id=org_id,
            app_version_id=app_version_id,
            run_id=run_id,
            limit=size,
            offset=offset + asked,
        )
        answer = await ask(bus, subjects.query("list", org_id), question, ListAnswer)
        # What comes in between two pages moves the others on: some are met twice.
        found |= {job.job_id: job for job in answer.jobs}
        asked += len(answer.jobs)
        if not answer.more or not answer.jobs:
            break
    return list(found.values())[:limit]


async def page_of_jobs(
    bus: Bus, state: JobState | None, *, limit: int, offset: int, timeout: float = ANSWER_TIMEOUT_S
) -> ListAnswer:
    """Jobs in a state, or all, newest first, up to the event that it names; may be shorter than asked for."""
    question = checked_made("The list", ListQuery, state=state, limit=limit, offset=offset)
    return await ask(bus, subjects.query("list"), question, ListAnswer, timeout=timeout)


async def overview(bus: Bus) -> Overview:
    """Queues, groups and counts at a glance."""
    return await ask(bus, subjects.query("overview"), Query(), Overview)


async def agents(bus: Bus) -> list[Heartbeat]:
    """The agents that are alive, by name."""
    answer = await ask(bus, subjects.query("agents"), Query(), AgentsAnswer)
    return sorted(answer.agents, key=lambda agent: agent.agent)


async def holds(bus: Bus) -> list[SlotHold]:
    """What operators set for slots and agents, by name."""
    answer = await ask(bus, subjects.query("agents"), Query(), AgentsAnswer)
    return sorted(answer.holds, key=lambda hold: hold.name)


async def history(bus: Bus, test: str, org_id: str | None, limit: int) -> HistoryAnswer:
    """The last outcomes of a test, newest first; raises `NotFoundError` when none is remembered."""
    from bus_schemas.history import HistoryAnswer, HistoryQuery

    question = checked_made("The question", HistoryQuery, test=test, org_id=org_id, limit=limit)
    return await ask(bus, subjects.query("history", org_id), question, HistoryAnswer)


async def durations(bus: Bus, org_id: str, tests: Sequence[str]) -> dict[str, float]:
    """Expected seconds of the tests that have a history."""
    from bus_schemas.history import MAX_ASKED, DurationsAnswer, DurationsQuery

    found: dict[str, float] = {}
    for start in range(0, len(tests), MAX_ASKED):
        question = DurationsQuery(org_id=org_id, tests=tuple(tests[start : start + MAX_ASKED]))
        answer = await ask(bus, subjects.query("durations", org_id), question, DurationsAnswer)
        found |= answer.seconds
    return found


async def health(bus: Bus) -> HealthAnswer:
    """How the system is; a scheduler that does not answer is a finding, not an error."""
    try:
        await bus.requests.round_trip(timeout=HEALTH_TIMEOUT_S)
    except (RequestTimeoutError, NoRespondersError):
        lost = CheckView(name="server", ok=False, detail="nats-server does not answer")
        return HealthAnswer(ok=False, checks=(lost,))
    server = CheckView(name="server", ok=True, detail=f"nats-server {bus.server_version}")
    try:
        answer = await ask(
            bus, subjects.query("health"), Query(), HealthAnswer, timeout=HEALTH_TIMEOUT_S + 1.0
        )
    except UnreachableError as error:
        detail = " ".join(filter(None, (error.message, error.hint)))
        scheduler = CheckView(name="scheduler", ok=False, detail=detail)
        return HealthAnswer(ok=False, checks=(server, scheduler))
    return answer.model_copy(update={"checks": (server, *answer.checks)})


async def stored_logs(bus: Bus, job_id: str, after_seq: int, *, tail: int | None = None) -> LogsAnswer:
    """A page of a job's stored output behind a place in the log stream; raises `NotFoundError`.

    `tail`: instead, the page that begins with the last so many lines.
    """
    question = LogsQuery(job_id=job_id, after_seq=after_seq, tail=tail)
    return await ask(bus, subjects.query("logs"), question, LogsAnswer)
