"""Requests that change something; the leader answers them."""

from __future__ import annotations

import getpass
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Final

from bus_schemas import subjects
from bus_schemas.base import MAX_ID_CHARS, Message
from bus_schemas.control import (
    MAX_ALSO,
    BulkRequest,
    CancelRequest,
    CtlAnswer,
    Refusal,
    ReprioritiseRequest,
    RetryRequest,
    merge_answers,
)
from bus_schemas.rules import LimitRequest, PauseRequest, QueueRules, ResumeRequest
from qgjob.bus.connect import Bus
from qgjob.client.checks import checked_made
from qgjob.client.ids import checked_any_id
from qgjob.client.requests.request import ask
from qgjob.domain.wording import pluralize
from qgjob.errors import NotFoundError, RefusedError, UnreachableError

TIMEOUT_S: Final = 30.0
_ASKED_AGAIN_S: Final = 10.0
"""A leader that died is not waited for longer; asked again, its successor goes on with what was asked."""
_PATIENCE_S: Final = 60.0
"""So long a scheduler may be away, or read a large backlog, in the middle of a request."""

OnLeft = Callable[[int], None]
"""Told how many jobs are left of a request that the scheduler has taken and goes on with."""


async def cancel(
    bus: Bus,
    any_id: str,
    *,
    reason: str | None = None,
    by: str | None = None,
    on_left: OnLeft | None = None,
) -> CtlAnswer:
    """See `Client.cancel`."""
    request = _to_cancel(checked_any_id(any_id), reason, by)
    return await _jobs(bus, "cancel", request, on_left)


async def cancel_jobs(
    bus: Bus, job_ids: Sequence[str], *, reason: str | None = None, by: str | None = None
) -> CtlAnswer:
    """See `Client.cancel_jobs`."""
    return await _each(bus, "cancel", job_ids, _to_cancel(job_ids[0], reason, by))


async def retry(
    bus: Bus, any_id: str, *, failed: bool = False, by: str | None = None, on_left: OnLeft | None = None
) -> CtlAnswer:
    """See `Client.retry`."""
    return await _jobs(bus, "retry", _to_retry(checked_any_id(any_id), by, failed=failed), on_left)


async def retry_jobs(bus: Bus, job_ids: Sequence[str], *, by: str | None = None) -> CtlAnswer:
    """See `Client.retry_jobs`."""
    return await _each(bus, "retry", job_ids, _to_retry(job_ids[0], by, failed=False))


async def reprioritise(
    bus: Bus, any_id: str, priority: int, *, by: str | None = None, on_left: OnLeft | None = None
) -> CtlAnswer:
    """See `Client.reprioritise`."""
    request = _to_reprioritise(checked_any_id(any_id), priority, by)
    return await _jobs(bus, "reprioritise", request, on_left)


async def reprioritise_jobs(
    bus: Bus, job_ids: Sequence[str], priority: int, *, by: str | None = None
) -> CtlAnswer:
    """See `Client.reprioritise_jobs`."""
    return await _each(bus, "reprioritise", job_ids, _to_reprioritise(job_ids[0], priority, by))


async def pause(
    bus: Bus,
    *,
    org_id: str | None = None,
    capability: str | None = None,
    note: str | None = None,
    by: str | None = None,
) -> QueueRules:
    """See `Client.pause_queue`."""
    request = checked_made(
        "The pause", PauseRequest, org_id=org_id, capability=capability, note=note, by=by or whoami()
    )
    return await _rules(bus, "queue_pause", org_id, request)


async def resume(
    bus: Bus, *, org_id: str | None = None, capability: str | None = None, by: str | None = None
) -> QueueRules:
    """See `Client.resume_queue`."""
    request = checked_made(
        "The pause to lift", ResumeRequest, org_id=org_id, capability=capability, by=by or whoami()
    )
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
    request = checked_made(
        "The limit",
        LimitRequest,
        org_id=org_id,
        by=by or whoami(),
        max_running=max_running,
        unlimited=unlimited,
        weight=weight,
    )
    return await _rules(bus, "queue_limit", org_id, request)


def whoami() -> str:
    """Who sends a request, as others see it: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"[:MAX_ID_CHARS]


def _to_cancel(any_id: str, reason: str | None, by: str | None) -> CancelRequest:
    return checked_made(
        "The request to cancel",
        CancelRequest,
        id=any_id,
        by=by or whoami(),
        reason=reason or "cancelled by request",
        nonce=secrets.token_hex(8),
        patient=True,
    )


def _to_retry(any_id: str, by: str | None, *, failed: bool) -> RetryRequest:
    return checked_made(
        "The request to retry",
        RetryRequest,
        id=any_id,
        by=by or whoami(),
        nonce=secrets.token_hex(8),
        failed=failed,
        patient=True,
    )


def _to_reprioritise(any_id: str, priority: int, by: str | None) -> ReprioritiseRequest:
    return checked_made(
        "The new priority",
        ReprioritiseRequest,
        id=any_id,
        priority=priority,
        by=by or whoami(),
        nonce=secrets.token_hex(8),
        patient=True,
    )


async def _each(bus: Bus, verb: str, job_ids: Sequence[str], request: BulkRequest) -> CtlAnswer:
    """Send the request for several jobs, in batches of as many as one request may name."""
    answers: list[CtlAnswer] = []
    names = list(dict.fromkeys(job_ids))
    for start in range(0, len(names), MAX_ALSO + 1):
        first, *also = names[start : start + MAX_ALSO + 1]
        asked = request.model_copy(update={"id": first, "also": tuple(also)})
        try:
            answers.append(await _jobs(bus, verb, asked, None))
        except (NotFoundError, RefusedError) as error:
            answers.append(CtlAnswer(refused=(Refusal(ids=(first, *also), message=error.message),)))
    return merge_answers(answers)


async def _jobs(bus: Bus, verb: str, request: BulkRequest, on_left: OnLeft | None) -> CtlAnswer:
    """Repeat the request until it is carried out; the scheduler's answers tell how many jobs are left."""
    left = 0
    while True:
        try:
            answer = await ask(
                bus,
                subjects.ctl(verb),
                request,
                CtlAnswer,
                timeout=_ASKED_AGAIN_S,
                patience=_PATIENCE_S,
                heard=left > 0,
            )
        except UnreachableError as error:
            if not left:
                raise
            raise UnreachableError(
                f"{error.message} It has taken this {verb}, "
                f"with about {pluralize(left, 'job')} still to come.",
                hint="It is written down, and goes on as soon as a scheduler is there.",
            ) from None
        if not answer.left:
            return answer
        left = answer.left
        if on_left is not None:
            on_left(left)


async def _rules(bus: Bus, verb: str, org_id: str | None, request: Message) -> QueueRules:
    return await ask(bus, subjects.ctl(verb, org_id), request, QueueRules, timeout=TIMEOUT_S)
