"""Follows the output of jobs into a buffer: what is stored, then what comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from bus_schemas.logs import StoredChunk
from qgjob.client import Client, Resync
from qgjob.client.requests.query import stored_logs
from qgjob.errors import NotFoundError, QgjobError, UnreachableError
from tui.store.log import MAX_BYTES, LogBuffer
from tui.store.store import Store

LOOK_EVERY_S: Final = 0.5
"""How often our own store is looked at for the job's end; nothing is asked of the bus."""
GRACE_S: Final = 3.0
"""How long after a job's end its last output may still be on its way."""
_ASK_AGAIN_S: Final = 1.0


async def follow_logs(
    client: Client, store: Store, job_ids: Sequence[str], buffer: LogBuffer, say: Callable[[str], None]
) -> None:
    """Fill the buffer with the output of all its jobs, until it is complete.

    What is stored of several comes in the order in which it was stored, as if they had shared a
    terminal; so does what comes live.
    """
    if len(job_ids) > 1:
        await _load_merged(client, job_ids, buffer, say)
    async with asyncio.TaskGroup() as group:
        for source, job_id in enumerate(job_ids):
            group.create_task(_follow_one(client, store, job_id, buffer, say, source))
    buffer.close()


async def save_logs(client: Client, job_ids: Sequence[str], file: TextIO) -> int:
    """Write all that is stored of some jobs' output into a file, as text; returns its bytes.

    Raises what the client does, and `OSError`.
    """
    for job_id in job_ids:
        if len(job_ids) > 1:
            file.write(f"── {job_id} ──\n")
        async for chunk in client.logs(job_id):
            file.write("".join(text for _, text in chunk.parts))
    return file.tell()


async def _load_merged(
    client: Client, job_ids: Sequence[str], buffer: LogBuffer, say: Callable[[str], None]
) -> None:
    async def load(source: int, job_id: str) -> list[tuple[int, int, StoredChunk]]:
        found: list[tuple[int, int, StoredChunk]] = []
        size = 0
        try:
            async for chunk in client.logs(job_id):
                found.append((chunk.stream_seq, source, chunk))
                size += sum(len(text) for _, text in chunk.parts)
                while size > MAX_BYTES:  # more would not be kept anyway
                    size -= sum(len(text) for _, text in found.pop(0)[2].parts)
        except NotFoundError:
            pass
        except QgjobError as error:
            say(error.message)
        return found

    loaded = await asyncio.gather(*(load(source, job_id) for source, job_id in enumerate(job_ids)))
    for _, source, chunk in sorted((c for chunks in loaded for c in chunks), key=lambda c: c[:2]):
        buffer.add(chunk, source)


async def _follow_one(
    client: Client,
    store: Store,
    job_id: str,
    buffer: LogBuffer,
    say: Callable[[str], None],
    source: int,
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
                    await _load(client, job_id, buffer, source)
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
                buffer.add(item, source)
            if load:
                continue
            job = store.jobs.get(job_id)
            if job is not None and job.ended:
                now = store.clock.monotonic()
                if left is None:
                    left = now + GRACE_S
                    load = True  # what was said before the end is stored by now
                    continue
                if buffer.sources[source].eof_of >= job.attempt or now >= left or job.started_at is None:
                    return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await live.ready()


async def _load(client: Client, job_id: str, buffer: LogBuffer, source: int) -> None:
    while True:
        answer = await stored_logs(client.bus, job_id, buffer.sources[source].last_seq)
        for chunk in answer.chunks:
            buffer.add(chunk, source)
        if not answer.more or not answer.chunks:
            return
        await asyncio.sleep(0)
