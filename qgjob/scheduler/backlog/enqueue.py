"""Put an attempt into the backlog, by compare-and-set: once, however often it is tried."""

from __future__ import annotations

from bus_schemas import streams, subjects
from bus_schemas.events import Retrying, about
from bus_schemas.jobs import JobMessage, priority_class
from qgjob.bus.connect import Bus
from qgjob.bus.kv import get_last
from qgjob.bus.publish import OutMsg, event_message, expect, lost_compare
from qgjob.bus.publisher import publish_each
from qgjob.bus.requester import JsError, RequestTimeoutError
from qgjob.errors import BadMessageError

_TRIES = 20


async def put_attempt(bus: Bus, message: JobMessage) -> None:
    """Store an attempt where the one before it may still wait for its ack.

    Does nothing when it, or a later one, is there. Raises `RequestTimeoutError` or `JsError`.
    """
    spec = message.spec
    subject = subjects.job(priority_class(spec.priority), spec.org_id, spec.job_id)
    for _ in range(_TRIES):
        try:
            before = await get_last(bus, streams.JOBS, subject)
            if before is not None and _attempt_of(before.data) >= message.attempt:
                return  # stored by an earlier try, or by an earlier reign
            seq = before.seq if before is not None else 0
            await publish_each(bus, [OutMsg(subject, message.encode(), expect(seq))])
        except RequestTimeoutError:
            continue
        except JsError as error:
            if not lost_compare(error):
                raise
            continue  # the earlier message was acked meanwhile, or somebody was quicker
        return
    raise RequestTimeoutError(f"the attempt on {subject} could not be stored")


def retrying_event(message: JobMessage, by: str, now: float) -> OutMsg:
    """The event that tells of an attempt that somebody asked for."""
    ended = about(message.spec, message.attempt - 1, now)
    return event_message(
        Retrying(**ended, next_attempt=message.attempt, charged=False, by=by, nonce=message.asked)
    )


def _attempt_of(data: bytes) -> int:
    """The attempt that a message of the backlog is; 0 when it cannot be read."""
    try:
        return JobMessage.decode(data).attempt
    except BadMessageError:
        return 0
