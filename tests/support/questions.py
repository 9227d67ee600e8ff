"""Asks the query service over a real bus, as clients do, and lets it and the projector work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from bus_schemas import subjects
from bus_schemas.base import Message
from bus_schemas.logs import LogChunk, LogsAnswer
from bus_schemas.queries import AgentsAnswer, GetAnswer, GetQuery, ListAnswer, Overview, Query
from qgjob.bus.connect import Bus
from qgjob.bus.requester import NoRespondersError
from qgjob.scheduler.projection.projector import Projector
from qgjob.scheduler.queries.service import QueryService
from tests.support.histories import Ids
from tests.support.wait import wait_for

A = TypeVar("A", bound=Message)
ONE = Ids()
"""The job `j_1` of the run `r_1`."""


@contextlib.asynccontextmanager
async def working(*services: Projector | QueryService) -> AsyncGenerator[None]:
    """Let services work; none may end by itself."""
    tasks = [asyncio.create_task(service.run()) for service in services]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answers(bus: Bus) -> bool:
    """Whether a query service is there."""
    try:
        await bus.requests.request(subjects.query("agents"), Query().encode())
    except NoRespondersError:
        return False
    return True


async def ask(bus: Bus, name: str, message: Message, answer: type[A], org: str | None = None) -> A:
    """Ask a question of an organisation, or of any."""
    reply = await bus.requests.request(subjects.query(name, org), message.encode(), timeout=5)
    return answer.decode(reply.data)


async def get(bus: Bus, any_id: str, org: str | None = None, offset: int = 0, limit: int = 500) -> GetAnswer:
    """Ask for a job or a page of a run."""
    return await ask(bus, "get", GetQuery(id=any_id, offset=offset, limit=limit), GetAnswer, org)


def problem(answer: GetAnswer | ListAnswer | LogsAnswer | Overview | AgentsAnswer) -> str:
    """Why an answer is none."""
    assert answer.problem is not None
    return answer.problem.code


async def caught_up(projector: Projector, seq: int) -> None:
    """Until the projection has what was stored at `seq`."""
    await wait_for(lambda: projector.position.seq >= seq, what=f"the projection at {seq}")


async def put_log(bus: Bus, seq: int, text: str, attempt: int = 1) -> int:
    """Store a chunk of the log of `ONE`; returns its sequence."""
    chunk = LogChunk(job_id="j_1", attempt=attempt, seq=seq, at=1.0, parts=(("out", text),))
    return (await bus.requests.publish(subjects.logs("acme", "j_1", attempt), chunk.encode())).seq
