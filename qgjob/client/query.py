"""Questions to the query service, which any scheduler replica answers."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

from bus_schemas import subjects
from bus_schemas.agents import Heartbeat
from bus_schemas.base import Message
from bus_schemas.requests import (
    AgentsAnswer,
    CheckView,
    GetAnswer,
    GetQuery,
    HealthAnswer,
    JobState,
    JobView,
    ListAnswer,
    ListQuery,
    LogsAnswer,
    LogsQuery,
    Overview,
    Problem,
    Query,
    RunView,
)
from qgjob.bus.connect import Bus
from qgjob.bus.requester import NoRespondersError, RequestTimeoutError
from qgjob.client.ids import kind_of, made_at
from qgjob.clock import Clock
from qgjob.errors import NotFoundError, QgjobError, RefusedError, UnreachableError, UsageError

A = TypeVar("A", bound=Message)

PAGE: Final = 500
ANSWER_TIMEOUT_S: Final = 5.0
NO_SCHEDULER_S: Final = 2.0
"""How long a scheduler may be away (a restart, a new leader) before that is said."""
FRESH_ID_S: Final = 5.0
"""How long a run that was submitted a moment ago may be unknown to the query service."""
_RETRY_S: Final = 0.1


async def ask(bus: Bus, subject: str, message: Message, answer: type[A]) -> A:
    """Send a request and read its answer; asked again while no scheduler is there, for 2 s.

    Raises `UnreachableError` when none answers.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + NO_SCHEDULER_S
    while True:
        try:
            reply = await bus.requests.request(subject, message.encode(), timeout=ANSWER_TIMEOUT_S)
        except NoRespondersError:
            if loop.time() < deadline:
                await asyncio.sleep(_RETRY_S)
                continue
            raise UnreachableError(
                "The server is there, but no scheduler answers.",
                hint="Start one with `qgjob scheduler` (or the whole system with `qgjob up`).",
            ) from None
        except RequestTimeoutError:
            if loop.time() < deadline + ANSWER_TIMEOUT_S:
                continue
            raise UnreachableError(
                "The scheduler does not answer in time.", hint="See `qgjob health`, and the scheduler's log."
            ) from None
        return answer.decode(reply.data)


def checked(problem: Problem | None) -> None:
    """Raise the error that a problem in an answer stands for."""
    if problem is None:
        return
    kinds: dict[str, type[QgjobError]] = {
        "not_found": NotFoundError,
        "bad_request": UsageError,
        "refused": RefusedError,
        "not_leader": UnreachableError,
        "unavailable": UnreachableError,
    }
    raise kinds[problem.code](problem.message, hint=problem.hint)


async def get(bus: Bus, any_id: str, *, clock: Clock) -> JobView | RunView:
    """A job, or a run with all of its jobs; raises `NotFoundError`.

    What was submitted a moment ago may not have been read yet: an id that tells of the last
    seconds is asked for again for a while.
    """
    kind = kind_of(any_id)
    if kind is None:
        raise NotFoundError(
            f"{any_id!r} is not the id of a job (j_…) or of a run (r_…).",
            hint="`qgjob list` shows the latest jobs.",
        )
    fresh = abs(clock.now() - made_at(any_id)) < 60
    deadline = clock.monotonic() + (FRESH_ID_S if fresh else 1.0)
    while True:
        try:
            return await get_now(bus, any_id)
        except NotFoundError:
            if clock.monotonic() >= deadline:
                raise
            await asyncio.sleep(_RETRY_S)


async def job(bus: Bus, job_id: str, *, clock: Clock) -> JobView:
    """A job; raises `NotFoundError`, also for a run's id."""
    found = await get(bus, job_id, clock=clock)
    if isinstance(found, RunView):
        raise NotFoundError(f"{job_id} is a run, not a job.", hint=f"Its jobs: qgjob status {job_id}")
    return found


async def run(bus: Bus, run_id: str, *, clock: Clock) -> RunView:
    """A run with all of its jobs, by position; raises `NotFoundError`, also for a job's id."""
    found = await get(bus, run_id, clock=clock)
    if isinstance(found, JobView):
        raise NotFoundError(f"{run_id} is a job, not a run.", hint=f"It belongs to {found.run_id}.")
    return found


async def get_now(bus: Bus, any_id: str) -> JobView | RunView:
    """A job, or a run with all of its jobs, as known at this moment; raises `NotFoundError`."""
    offset = 0
    pages: list[JobView] = []
    while True:
        answer = await ask(
            bus, subjects.query("get"), GetQuery(id=any_id, offset=offset, limit=PAGE), GetAnswer
        )
        checked(answer.problem)
        if answer.job is not None:
            return answer.job
        if answer.run is None:
            raise NotFoundError(f"There is no job or run {any_id}.")
        pages.extend(answer.run.jobs)
        offset += PAGE
        if len(answer.run.jobs) < PAGE:
            # A run that changes between two pages may repeat a job: the later view counts.
            by_id = {view.job_id: view for view in pages}
            ordered = sorted(by_id.values(), key=lambda view: view.position)
            return answer.run.model_copy(update={"jobs": tuple(ordered)})


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
    found: list[JobView] = []
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        question = ListQuery(
            state=state,
            org_id=org_id,
            app_version_id=app_version_id,
            run_id=run_id,
            limit=size,
            offset=offset + len(found),
        )
        answer = await ask(bus, subjects.query("list", org_id), question, ListAnswer)
        checked(answer.problem)
        found.extend(answer.jobs)
        if len(answer.jobs) < size:
            break
    return found


async def overview(bus: Bus) -> Overview:
    """Queues, groups and counts at a glance."""
    answer = await ask(bus, subjects.query("overview"), Query(), Overview)
    checked(answer.problem)
    return answer


async def agents(bus: Bus) -> list[Heartbeat]:
    """The agents that are alive, by name."""
    answer = await ask(bus, subjects.query("agents"), Query(), AgentsAnswer)
    checked(answer.problem)
    return sorted(answer.agents, key=lambda agent: agent.agent)


async def health(bus: Bus) -> HealthAnswer:
    """How the system is; a scheduler that does not answer is a finding, not an error."""
    server = CheckView(name="server", ok=True, detail=f"nats-server {bus.server_version}")
    try:
        answer = await ask(bus, subjects.query("health"), Query(), HealthAnswer)
    except UnreachableError as error:
        scheduler = CheckView(name="scheduler", ok=False, detail=error.message)
        return HealthAnswer(ok=False, checks=(server, scheduler))
    checked(answer.problem)
    return answer.model_copy(update={"checks": (server, *answer.checks)})


async def stored_logs(bus: Bus, job_id: str, after_seq: int) -> LogsAnswer:
    """A page of a job's stored output behind a place in the log stream; raises `NotFoundError`."""
    answer = await ask(bus, subjects.query("logs"), LogsQuery(job_id=job_id, after_seq=after_seq), LogsAnswer)
    checked(answer.problem)
    return answer
