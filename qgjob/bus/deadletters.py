"""Stores an unreadable message as a dead letter, with the reason, where an operator sees it."""

from __future__ import annotations

import base64
import logging
import time

from bus_schemas import subjects
from bus_schemas.deadletters import DeadLetter
from qgjob.bus.connect import Bus
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)

_MAX_BYTES = 64 * 1024


async def set_aside(
    bus: Bus, stream: str, subject: str, data: bytes, reason: str, *, seq: int | None = None
) -> bool:
    """Publish a dead letter; False when even that did not work, and the message must be kept."""
    letter = DeadLetter(
        stream=stream,
        subject=subject[:4096],
        seq=seq,
        reason=reason[:4000],
        data=base64.b64encode(data[:_MAX_BYTES]).decode("ascii"),
        size=len(data),
        at=time.time(),
    )
    log.warning("set aside a message of %s on %s: %s", stream, subject, reason)
    try:
        await bus.requests.publish(subjects.dead(stream), letter.encode())
    except QgjobError as error:
        log.warning("the dead letter could not be stored: %s", error)
        return False
    return True
