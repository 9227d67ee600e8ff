"""The lab: agents and health."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bus_schemas.requests import CheckView, HealthAnswer
from qgjob.client import Client
from qgjob.client.shapes import agent_json
from qgjob.errors import QgjobError
from qgjob.gateway.answers import ClientOf, document

router = APIRouter(prefix="/api", tags=["lab"])


@router.get("/agents", summary="The agents that are alive, with their slots")
async def agents(client: ClientOf) -> Response:
    """Agents by name."""
    return document({"agents": [agent_json(agent) for agent in await client.agents()]})


@router.get("/health", summary="Whether all is well")
async def health(client: ClientOf) -> Response:
    """200 when everything works, else 503. Needs no token."""
    found = await _health(client)
    return document({"ok": found.ok, "status": "healthy" if found.ok else "unhealthy"}, _status(found))


@router.get("/health/detailed", summary="Each part of the system and how it is")
async def detailed(client: ClientOf) -> Response:
    """NATS, streams, store, leader, projection, agents, queue; 503 when one is not well."""
    found = await _health(client)
    checks = [check.model_dump(mode="json") for check in found.checks]
    return document(
        {"ok": found.ok, "status": "healthy" if found.ok else "unhealthy", "checks": checks}, _status(found)
    )


async def _health(client: Client) -> HealthAnswer:
    if not client.connected:
        return _unwell("the gateway has lost its connection to NATS")
    try:
        return await client.health()
    except QgjobError as error:
        return _unwell(error.message)


def _unwell(detail: str) -> HealthAnswer:
    return HealthAnswer(ok=False, checks=(CheckView(name="server", ok=False, detail=detail),))


def _status(found: HealthAnswer) -> int:
    return 200 if found.ok else 503
