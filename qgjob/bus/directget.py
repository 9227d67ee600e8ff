"""Read stored messages without a consumer (ADR-31): the only way into a work queue that has some."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from qgjob.bus.connect import Bus
from qgjob.bus.kv import Stored, read_stored
from qgjob.bus.requester import RequestTimeoutError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

_BATCH = 500
_END_OF_BATCH = "204"


async def read_all(bus: Bus, stream: str, pattern: str, *, timeout: float = 10.0) -> list[Stored]:
    """All messages of a stream whose subject matches, in order; raises `RequestTimeoutError`."""
    found: list[Stored] = []
    start = 1
    while True:
        page = await _read_page(bus, stream, pattern, start, timeout)
        found.extend(page)
        if len(page) < _BATCH:
            return found
        start = page[-1].seq + 1


async def _read_page(bus: Bus, stream: str, pattern: str, start: int, timeout: float) -> list[Stored]:
    inbox = bus.nc.new_inbox()
    page: list[Stored] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def on_message(msg: Msg) -> None:
        if done.done():
            return
        if (msg.headers or {}).get("Status") == _END_OF_BATCH:
            done.set_result(None)
            return
        try:
            stored = read_stored(msg)
        except Exception as error:  # noqa: BLE001 - handed to who waits
            done.set_exception(error)
            return
        if stored is None:
            done.set_result(None)
        else:
            page.append(stored)

    subscription = await bus.nc.subscribe(inbox, cb=on_message)
    body = {"seq": start, "next_by_subj": pattern, "batch": _BATCH}
    try:
        await bus.nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(body).encode(), reply=inbox)
        await asyncio.wait_for(done, timeout)
    except TimeoutError:
        raise RequestTimeoutError(f"The stream {stream} did not answer in time.") from None
    finally:
        await subscription.unsubscribe()
    return page
