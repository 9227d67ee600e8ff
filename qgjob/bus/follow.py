"""Follows a stream, stored messages first and then new ones, across lost consumers and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bus_schemas.streams import SECOND_NS
from qgjob.bus.connect import Bus
from qgjob.bus.kv import is_tombstone
from qgjob.bus.pull import ConsumerGoneError, Puller
from qgjob.bus.requester import JsError, RequestTimeoutError
from qgjob.bus.topology import create_own_consumer, delete_consumer
from qgjob.errors import UnreachableError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

_RETRY_S = 0.25


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """A message of a stream with its place and time there."""

    subject: str
    data: bytes
    seq: int
    at: float
    """When the server stored it, seconds since 1970."""
    pending: int
    """How many more match and are stored already."""
    delivered: int = 1
    """How often it was delivered by now."""
    deleted: bool = False


def stream_message(msg: Msg) -> StreamMessage:
    """Read a delivered message's place from its ack subject (`$JS.ACK.…`, nine or twelve tokens)."""
    parts = msg.reply.split(".")
    cut = 2 if len(parts) == 9 else 4  # with a domain and an account hash there are more
    return StreamMessage(
        subject=msg.subject,
        data=msg.data,
        seq=int(parts[cut + 3]),
        at=int(parts[cut + 5]) / SECOND_NS,
        pending=int(parts[cut + 6]),
        delivered=int(parts[cut + 2]),
        deleted=is_tombstone(msg.headers) if msg.headers else False,
    )


async def follow(
    bus: Bus,
    stream: str,
    filters: Sequence[str],
    *,
    start_seq: int | None = None,
    last_per_subject: bool = False,
    ahead: int = 512,
    on_caught_up: Callable[[], None] | None = None,
) -> AsyncIterator[list[StreamMessage]]:
    """Yield what a stream holds and then what comes, in batches, each message once and in order.

    `start_seq`: from there on; else everything, or the last message of each subject. After a
    lost consumer it goes on behind the last message that was yielded. Stop by closing the
    generator. `on_caught_up` is called once, when everything stored at the start was yielded.
    """
    last = (start_seq or 1) - 1
    fresh = last_per_subject
    caught_up = on_caught_up is None
    while True:
        name = f"follow_{secrets.token_hex(8)}"
        try:
            config = _consumer(name, filters, None if fresh else max(1, last + 1))
            info = await create_own_consumer(bus, stream, config)
            if on_caught_up and not caught_up and not info.get("num_pending", 0):
                caught_up = True
                on_caught_up()
            async with Puller(bus, stream, name, ahead=ahead) as puller:
                while True:
                    first = await puller.next()
                    came = (stream_message(m) for m in (first, *puller.take()))
                    # A server of a cluster that comes back begins such a consumer anew.
                    batch = [message for message in came if message.seq > last]
                    if not batch:
                        continue
                    last = batch[-1].seq
                    yield batch
                    fresh = fresh and batch[-1].pending > 0
                    if on_caught_up and not caught_up and batch[-1].pending == 0:
                        caught_up = True
                        on_caught_up()
        except (ConsumerGoneError, RequestTimeoutError, UnreachableError, JsError):
            await asyncio.sleep(_RETRY_S)  # the server is away or restarting: its consumer with it
        finally:
            if bus.connected:
                with contextlib.suppress(Exception):  # the server removes it when nobody pulls
                    # Not `wait_for`: that of Python 3.11 forgets a cancel that comes with the answer.
                    async with asyncio.timeout(1):
                        await delete_consumer(bus, stream, name)


def _consumer(name: str, filters: Sequence[str], start_seq: int | None) -> dict[str, Any]:
    """An ephemeral consumer, from `start_seq` on, or with the last message of each subject."""
    start: dict[str, Any] = {"deliver_policy": "last_per_subject"}
    if start_seq is not None:
        start = {"deliver_policy": "by_start_sequence", "opt_start_seq": start_seq}
    return {
        "name": name,
        "filter_subjects": list(filters),
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": 30 * SECOND_NS,
        **start,
    }
