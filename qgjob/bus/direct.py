"""Read stored messages without a consumer: batched direct gets (ADR-31)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from qgjob.bus.connect import Bus
from qgjob.bus.denial import Denial
from qgjob.bus.follow import StreamMessage
from qgjob.bus.kv import is_tombstone
from qgjob.bus.requester import NoRespondersError, RequestTimeoutError, refusal_of
from qgjob.clock import rfc3339

if TYPE_CHECKING:
    from nats.aio.msg import Msg

MAX_BATCH: Final = 1000
_END: Final = "204"
_NOTHING: Final = "404"


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages in the order of the stream, and how many more match behind them."""

    messages: list[StreamMessage]
    pending: int


async def read_page(
    bus: Bus,
    stream: str,
    pattern: str,
    *,
    start_seq: int = 1,
    since: float | None = None,
    limit: int = MAX_BATCH,
    max_bytes: int = 0,
    timeout: float = 5.0,
) -> Page:
    """Messages of a stream on subjects that match, from a place on, or since a time (seconds since 1970).

    `max_bytes` (0: no bound) ends the page after the message that reaches it. Raises
    `RequestTimeoutError` when the page does not arrive whole within `timeout` seconds,
    `NoRespondersError` when there is no such stream, `JsError` when the server refuses.
    """
    body: dict[str, Any] = {"next_by_subj": pattern, "batch": min(limit, MAX_BATCH)}
    body |= {"seq": max(1, start_seq)} if since is None else {"start_time": rfc3339(since)}
    if max_bytes:
        body["max_bytes"] = max_bytes
    return await _get(bus, stream, body, timeout)


async def read_all(
    bus: Bus, stream: str, pattern: str, *, start_seq: int = 1
) -> AsyncIterator[list[StreamMessage]]:
    """All stored messages that match, page by page; raises like `read_page`."""
    while True:
        page = await read_page(bus, stream, pattern, start_seq=start_seq)
        if page.messages:
            yield page.messages
            start_seq = page.messages[-1].seq + 1
        if not page.pending:
            return


async def read_between(
    bus: Bus, stream: str, pattern: str, start: int, end: int, *, max_bytes: int
) -> list[StreamMessage]:
    """All messages that match, from the place `start` to before `end`; raises like `read_page`."""
    found: list[StreamMessage] = []
    while start < end:
        page = await read_page(bus, stream, pattern, start_seq=start, limit=end - start, max_bytes=max_bytes)
        found += (message for message in page.messages if message.seq < end)
        if not page.messages or not page.pending:
            break
        start = page.messages[-1].seq + 1
    return found


async def read_last(
    bus: Bus, stream: str, patterns: Sequence[str], *, timeout: float = 5.0
) -> list[StreamMessage]:
    """The last message of each subject that matches (at most 1,024); raises like `read_page`."""
    return (await _get(bus, stream, {"multi_last": list(patterns)}, timeout)).messages


async def read_at(bus: Bus, stream: str, seq: int) -> StreamMessage | None:
    """The message at a place of a stream, or None when there is none (any more)."""
    body = json.dumps({"seq": seq}).encode()
    msg = await bus.requests.request(f"$JS.API.DIRECT.GET.{stream}", body)
    headers = msg.headers or {}
    status = headers.get("Status")
    if status == _NOTHING:
        return None
    if "Nats-Sequence" not in headers:
        raise refusal_of(msg)
    return _stored(msg, headers)


async def _get(bus: Bus, stream: str, body: dict[str, Any], timeout: float) -> Page:
    messages: list[StreamMessage] = []
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def on_message(msg: Msg) -> None:
        if done.done():
            return
        headers = msg.headers or {}
        status = headers.get("Status")
        if "Nats-Sequence" in headers:
            messages.append(_stored(msg, headers))
        elif status == _END:
            done.set_result(int(headers.get("Nats-Num-Pending", "0")))
        elif status == _NOTHING:
            done.set_result(0)
        elif status == "503":
            done.set_exception(NoRespondersError(f"There is no stream {stream} now."))
        else:
            done.set_exception(refusal_of(msg))

    subject = f"$JS.API.DIRECT.GET.{stream}"

    def on_denied(denial: Denial) -> None:
        if not done.done() and denial.names(subject):
            done.set_exception(denial.of_publish(subject))

    inbox = bus.nc.new_inbox()
    subscription = await bus.nc.subscribe(inbox, cb=on_message, pending_msgs_limit=0, pending_bytes_limit=0)
    bus.on_denied.append(on_denied)
    try:
        await bus.nc.publish(subject, json.dumps(body).encode(), reply=inbox)
        async with asyncio.timeout(timeout):
            pending = await done
    except TimeoutError:
        raise RequestTimeoutError(f"No answer from the stream {stream} in time.") from None
    finally:
        bus.on_denied.remove(on_denied)
        with contextlib.suppress(Exception):  # the connection may be going away
            await subscription.unsubscribe()
    return Page(messages, pending)


def _stored(msg: Msg, headers: dict[str, str]) -> StreamMessage:
    return StreamMessage(
        subject=headers["Nats-Subject"],
        data=msg.data,
        seq=int(headers["Nats-Sequence"]),
        at=_seconds(headers["Nats-Time-Stamp"]),
        pending=int(headers.get("Nats-Num-Pending", "0")),
        deleted=is_tombstone(headers),
    )


def _seconds(stamp: str) -> float:
    """RFC 3339 with nanoseconds, of which a float keeps a quarter of a microsecond."""
    whole, _, rest = stamp.rstrip("Z").partition(".")
    fraction = rest.partition("+")[0].partition("-")[0]
    seconds = datetime.fromisoformat(whole + "+00:00").timestamp()
    return seconds + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)
