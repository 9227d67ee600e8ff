"""Follows the output of one job into a buffer: what is stored, then what comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from qgjob.client import Client, Resync
from qgjob.client.query import stored_logs
from qgjob.errors import NotFoundError, QgjobError, UnreachableError
from tui.store.log import LogBuffer
from tui.store.store import Store

LOOK_EVERY_S: Final = 0.5
"""How often our own store is looked at for the job's end; nothing is asked of the bus."""
GRACE_S: Final = 3.0
"""How long after a job's end its last output may still be on its way."""
_ASK_AGAIN_S: Final = 1.0


async def follow_log(
    client: Client, store: Store, job_id: str, buffer: LogBuffer, say: Callable[[str], None]
) -> None:
    """Fill the buffer until the job has ended and its output is complete.

    `say` is called with a sentence when there is something in the way, with nothing when it is
    gone. Gaps after a lost connection are filled from what is stored.
    """
    async with client.live_logs(job_id) as live:
        load = True
        left: float | None = None
        while True:
            if load:
                try:
                    await _load(client, job_id, buffer)
                except UnreachableError as error:
                    say(error.message)
                    await asyncio.sleep(_ASK_AGAIN_S)
                    continue
                except NotFoundError:
                    pass  # nothing of it is kept; something may still come
                except QgjobError as error:
                    say(error.message)
                    return
                say("")
                load = False
            for item in live.take():
                if isinstance(item, Resync):
                    load = True
                    break  # what came behind the gap is stored too; taken now, it would hide the gap
                buffer.add(item)
            if load:
                continue
            job = store.jobs.get(job_id)
            if job is not None and job.ended:
                now = store.clock.monotonic()
                if left is None:
                    left = now + GRACE_S
                    load = True  # what was said before the end is stored by now
                    continue
                if buffer.eof_of >= job.attempt or now >= left or job.started_at is None:
                    buffer.close()
                    return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(live.ready(), LOOK_EVERY_S)


async def _load(client: Client, job_id: str, buffer: LogBuffer) -> None:
    while True:
        answer = await stored_logs(client.bus, job_id, buffer.last_seq)
        for chunk in answer.chunks:
            buffer.add(chunk)
        if not answer.more or not answer.chunks:
            return
        await asyncio.sleep(0)
