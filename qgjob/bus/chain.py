"""The claim chain: one subject per attempt, written by compare-and-set, which decides who runs it.

Started, taken over, cancelling, ended: each link is stored only if the chain stands where its writer
saw it. The end replaces the chain and carries the whole attempt.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from bus_schemas import streams, subjects
from bus_schemas.events import (
    Attempt,
    Cancelling,
    ChainLink,
    Ended,
    EndState,
    Started,
    about,
    decode_event_at,
)
from bus_schemas.jobs import JobMessage
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.publish import ROLLUP, TTL, expect, lost_compare
from qgjob.bus.requester import JsError, NoRespondersError, RequestTimeoutError
from qgjob.errors import BadMessageError

CHAIN_TTL: Final = {TTL: "never"}
END_HEADERS: Final = {TTL: f"{streams.EVENTS_KEPT_S}s", ROLLUP: "sub"}
_TRIES: Final = 20
_PAUSE_S: Final = 0.1


async def read_chain(bus: Bus, subject: str) -> tuple[ChainLink | None, int]:
    """The last link of a chain and its sequence; (None, 0) when nobody ever claimed.

    What is no link at all, as anybody may publish there, stands for nobody: (None, its sequence).
    """
    for attempt in range(_TRIES):
        try:
            stored = await kv.get_last(bus, streams.EVENTS, subject)
            break
        except (JsError, RequestTimeoutError, NoRespondersError):  # just after a failover
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(_PAUSE_S)
    else:
        raise AssertionError("unreachable")
    if stored is None or stored.deleted:
        return None, stored.seq if stored else 0
    try:
        event = decode_event_at(subject, stored.data)
    except BadMessageError:
        return None, stored.seq  # unreadable: the projector sets it aside, and it is no claim
    return (event if isinstance(event, Started | Cancelling | Ended) else None), stored.seq


def chain_subject(message: JobMessage) -> str:
    """Where the chain of a message's attempt stands."""
    spec = message.spec
    return subjects.event(spec.org_id, spec.run_id, spec.job_id, message.attempt, "state")


async def end_unclaimed(
    bus: Bus,
    message: JobMessage,
    state: EndState,
    reason: str,
    text: str,
    *,
    now: float,
    nonce: str | None = None,
) -> ChainLink | None:
    """End an attempt that no slot holds; None when that is done, else the link that was there first.

    `nonce`: of whoever wants it ended, and may have done so before.
    """
    result = _result(message, state, reason, text, now)
    ended = ended_event(message, state, result, at=now, nonce=nonce)
    return await _write(bus, chain_subject(message), ended, expected=0)


def ended_event(
    message: JobMessage,
    state: EndState,
    result: Attempt,
    *,
    at: float,
    nonce: str | None = None,
    following: JobMessage | None = None,
    retryable: bool = True,
) -> Ended:
    """Build the last link of a chain; `nonce`: the writer's; `following`: the next attempt, if any."""
    spec = message.spec
    return Ended(
        **about(spec, message.attempt, at),
        nonce=nonce or secrets.token_hex(8),
        state=state,
        result=result,
        final=following is None,
        app_version_id=spec.app_version_id,
        test=None if spec.tests else spec.test,
        next=following,
        retryable=retryable,
    )


async def ask_holder(bus: Bus, message: JobMessage, by: str, reason: str, *, now: float) -> ChainLink | None:
    """Append a cancel to a chain that a slot holds; returns the link the holder had, or the end."""
    subject = chain_subject(message)
    for _ in range(_TRIES):
        link, seq = await read_chain(bus, subject)
        if link is None or isinstance(link, Ended | Cancelling):
            return link
        cancelling = Cancelling(
            **about(message.spec, message.attempt, now),
            by=by,
            reason=reason,
            holder=Started.model_validate(link.model_dump() | {"kind": "started"}),
        )
        try:
            await bus.requests.publish(subject, cancelling.encode(), headers={**expect(seq), **CHAIN_TTL})
        except JsError as error:
            if not lost_compare(error):
                raise
            continue
        return link
    raise JsError(503, 0, "the chain did not hold still")


async def end_held(
    bus: Bus,
    message: JobMessage,
    state: EndState,
    reason: str,
    text: str,
    *,
    now: float,
    following: JobMessage | None = None,
) -> bool:
    """End a chain whose holder is gone; False when it has an end already.

    `following`: the attempt that is to come after it; None when the end is final.
    """
    subject = chain_subject(message)
    result = _result(message, state, reason, text, now)
    for _ in range(_TRIES):
        link, seq = await read_chain(bus, subject)
        if isinstance(link, Ended):
            return False
        ended = ended_event(message, state, result, at=now, following=following)
        if await _write(bus, subject, ended, expected=seq) is None:
            return True
    return False


def _result(message: JobMessage, state: EndState, reason: str, text: str, now: float) -> Attempt:
    return Attempt(number=message.attempt, finished_at=now, outcome=state, reason=reason, message=text[:4000])


async def _write(bus: Bus, subject: str, link: Ended, *, expected: int) -> ChainLink | None:
    for _ in range(_TRIES):
        try:
            await bus.requests.publish(subject, link.encode(), headers={**expect(expected), **END_HEADERS})
        except (RequestTimeoutError, NoRespondersError):
            await asyncio.sleep(_PAUSE_S)
            continue  # whether it was stored, the next try tells
        except JsError as error:
            if not lost_compare(error):
                raise
            there, seq = await read_chain(bus, subject)
            if there is None:
                expected = seq
                continue
            if isinstance(there, Ended) and there.nonce == link.nonce:
                return None
            return there
        return None
    raise RequestTimeoutError(f"{subject} could not be written.")
