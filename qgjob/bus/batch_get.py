"""Read many stored messages with one request (direct get in batches, ADR-31): no consumer needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from qgjob.bus.connect import Bus
from qgjob.bus.kv import Stored, is_tombstone
from qgjob.bus.requester import JsError, RequestTimeoutError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

BATCH: Final = 256
BATCH_BYTES: Final = 4 * 2**20
_SILENCE_S: Final = 2.5
_TRIES: Final = 12


async def iter_stored(
    bus: Bus, stream: str, subject: str, *, start_seq: int = 1, batch: int = BATCH
) -> AsyncGenerator[Stored]:
    """Every stored message of a subject (a filter) from `start_seq` on, in order, each once.

    Asked again behind the last message that came when an answer is lost. Raises `JsError` when
    the stream refuses, `RequestTimeoutError` when it is silent for half a minute.
    """
    messages: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = bus.nc.new_inbox()
    subscription = await bus.nc.subscribe(
        inbox + ".*", cb=messages.put, pending_msgs_limit=0, pending_bytes_limit=0
    )
    following, silent, token = start_seq, 0, 0
    try:
        while True:
            token += 1
            reply = f"{inbox}.{token}"
            body = {"seq": following, "next_by_subj": subject, "batch": batch, "max_bytes": BATCH_BYTES}
            await bus.nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(body).encode(), reply=reply)
            left = 1
            while True:
                try:
                    msg = await asyncio.wait_for(messages.get(), _SILENCE_S)
                except TimeoutError:
                    silent += 1
                    if silent >= _TRIES:
                        raise RequestTimeoutError(f"No answer from the stream {stream} in time.") from None
                    break
                if msg.subject != reply:
                    continue  # of a request that was given up
                silent = 0
                headers = msg.headers or {}
                status = headers.get("Status")
                if status == "404":
                    return
                if status == "503":  # no stream, or no leader just now
                    raise JsError(503, 0, f"the stream {stream} is not there")
                if status == "204":
                    left = int(headers.get("Nats-Num-Pending", "0"))
                    break
                if "Nats-Sequence" not in headers:
                    raise JsError(int(status or 500), 0, headers.get("Description", "direct get refused"))
                seq = int(headers["Nats-Sequence"])
                following = seq + 1
                yield Stored(headers["Nats-Subject"], seq, msg.data, is_tombstone(headers))
            if not left:
                return
    finally:
        await subscription.unsubscribe()
