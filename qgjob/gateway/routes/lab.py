"""The lab: agents and health."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query
from starlette.responses import Response

from bus_schemas.queries import CheckView, HealthAnswer
from qgjob.client import Client
from qgjob.client.shapes import agent_json
from qgjob.errors import QgjobError
from qgjob.gateway.answers import ClientOf, KnownRoute, NamedId, ServedOf, document
from qgjob.gateway.metrics import MEDIA_TYPE, exposition
from qgjob.gateway.problems import described

T = TypeVar("T")

_TOLD_WITHIN_S: Final = 5.0
_UNWELL: Final[dict[int | str, dict[str, Any]]] = {503: {"description": "The same, when something is wrong."}}

router = APIRouter(prefix="/api", tags=["lab"], route_class=KnownRoute)
vital = APIRouter(tags=["lab"], route_class=KnownRoute)
"""What watches over the lab asks; no rate limit holds for it."""


@router.get("/agents", summary="The agents that are alive, with their slots")
async def agents(client: ClientOf) -> Response:
    """Agents by name."""
    return document({"agents": [agent_json(agent) for agent in await client.agents()]})


@router.get(
    "/tests/history", tags=["jobs"], summary="How a test went the last times", responses=described(404)
)
async def history(
    client: ClientOf,
    test: Annotated[str, Query(min_length=1, max_length=1024)],
    org_id: NamedId = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """Its last outcomes, newest first, how long it takes and how flaky it is."""
    from qgjob.client.shapes import history_json
    from qgjob.domain.testhistory import summarise

    answer = await client.history(test, org_id=org_id, limit=limit)
    return document(history_json(test, answer, summarise(answer.outcomes)))


@vital.get("/api/health", summary="Whether all is well", responses=_UNWELL)
async def health(client: ClientOf) -> Response:
    """200 when everything works, else 503. Needs no token."""
    found = await _health(client)
    return document({"ok": found.ok, "status": "healthy" if found.ok else "unhealthy"}, _status(found))


@vital.get("/api/health/detailed", summary="Each part of the system and how it is", responses=_UNWELL)
async def detailed(client: ClientOf) -> Response:
    """NATS, streams, store, leader, projection, agents, queue; 503 when one is not well."""
    found = await _health(client)
    checks = [check.model_dump(mode="json") for check in found.checks]
    return document(
        {"ok": found.ok, "status": "healthy" if found.ok else "unhealthy", "checks": checks}, _status(found)
    )


@vital.get("/metrics", summary="The lab as figures for Prometheus", response_class=Response)
async def metrics(served: ServedOf) -> Response:
    """Health, queue, slots, durations, what became of jobs; of what nobody answers for, nothing is said."""
    client = served.client
    found, overview, agents, timings = await asyncio.gather(
        _health(client),
        _within_time(client, client.overview),
        _within_time(client, client.agents),
        _within_time(client, client.timings),
    )
    text = exposition(found.checks, overview, agents, timings, served.gates.refused())
    return Response(text, 200, media_type=MEDIA_TYPE)


async def _within_time(client: Client, ask: Callable[[], Awaitable[T]]) -> T | None:
    """What somebody answers in time: Prometheus waits 10 s for all of it, if it is not told otherwise."""
    if not client.connected:
        return None
    with contextlib.suppress(QgjobError, TimeoutError):
        async with asyncio.timeout(_TOLD_WITHIN_S):
            return await ask()
    return None


async def _health(client: Client) -> HealthAnswer:
    if not client.connected:
        return _unhealthy("the gateway has lost its connection to NATS")
    try:
        return await client.health()
    except QgjobError as error:
        return _unhealthy(error.message)


def _unhealthy(detail: str) -> HealthAnswer:
    return HealthAnswer(ok=False, checks=(CheckView(name="server", ok=False, detail=detail),))


def _status(found: HealthAnswer) -> int:
    return 200 if found.ok else 503
