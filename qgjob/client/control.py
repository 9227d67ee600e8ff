"""Requests that change something; the leader answers them."""

from __future__ import annotations

import getpass
import secrets
import socket
from typing import Final

from pydantic import ValidationError

from bus_schemas import subjects
from bus_schemas.base import MAX_ID_CHARS, Message
from bus_schemas.requests import CancelRequest, CtlAnswer
from bus_schemas.rules import (
    LimitRequest,
    PauseRequest,
    QueueRules,
    ReprioritiseRequest,
    ResumeRequest,
    RetryRequest,
)
from qgjob.bus.connect import Bus
from qgjob.client.checks import usage_error
from qgjob.client.query import ask, checked

TIMEOUT_S: Final = 30.0
"""A run may have a hundred thousand jobs."""


async def cancel(bus: Bus, any_id: str, *, reason: str | None = None, by: str | None = None) -> CtlAnswer:
    """Cancel a job, or all jobs of a run that have not ended; raises `NotFoundError`."""
    request = CancelRequest(id=any_id, by=by or whoami(), reason=reason or "cancelled by request")
    return await _jobs(bus, "cancel", request)


async def retry(bus: Bus, any_id: str, *, failed: bool = False, by: str | None = None) -> CtlAnswer:
    """See `Client.retry`."""
    request = RetryRequest(id=any_id, by=by or whoami(), nonce=secrets.token_hex(8), failed=failed)
    return await _jobs(bus, "retry", request)


async def reprioritise(bus: Bus, any_id: str, priority: int, *, by: str | None = None) -> CtlAnswer:
    """See `Client.reprioritise`."""
    try:
        request = ReprioritiseRequest(id=any_id, priority=priority, by=by or whoami())
    except ValidationError as error:
        raise usage_error("The new priority", error) from None
    return await _jobs(bus, "reprioritise", request)


async def pause(
    bus: Bus,
    *,
    org_id: str | None = None,
    capability: str | None = None,
    note: str | None = None,
    by: str | None = None,
) -> QueueRules:
    """See `Client.pause_queue`."""
    request = PauseRequest(org_id=org_id, capability=capability, note=note, by=by or whoami())
    return await _rules(bus, "queue_pause", org_id, request)


async def resume(
    bus: Bus, *, org_id: str | None = None, capability: str | None = None, by: str | None = None
) -> QueueRules:
    """See `Client.resume_queue`."""
    request = ResumeRequest(org_id=org_id, capability=capability, by=by or whoami())
    return await _rules(bus, "queue_resume", org_id, request)


async def limit(
    bus: Bus,
    org_id: str,
    *,
    max_running: int | None = None,
    unlimited: bool = False,
    weight: float | None = None,
    by: str | None = None,
) -> QueueRules:
    """See `Client.limit_org`."""
    try:
        request = LimitRequest(
            org_id=org_id, by=by or whoami(), max_running=max_running, unlimited=unlimited, weight=weight
        )
    except ValidationError as error:
        raise usage_error("The limit", error) from None
    return await _rules(bus, "queue_limit", org_id, request)


def whoami() -> str:
    """Who this is to others: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"[:MAX_ID_CHARS]


async def _jobs(bus: Bus, verb: str, request: Message) -> CtlAnswer:
    answer = await ask(bus, subjects.ctl(verb), request, CtlAnswer, timeout=TIMEOUT_S)
    checked(answer.problem)
    return answer


async def _rules(bus: Bus, verb: str, org_id: str | None, request: Message) -> QueueRules:
    answer = await ask(bus, subjects.ctl(verb, org_id), request, QueueRules, timeout=TIMEOUT_S)
    checked(answer.problem)
    return answer
