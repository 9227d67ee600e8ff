"""The output of a job: stored chunks first, then new ones, without a gap or a repetition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from bus_schemas.logs import StoredChunk
from bus_schemas.queries import JobView
from qgjob.bus.connect import Bus
from qgjob.client.models import Resync
from qgjob.client.requests import query
from qgjob.client.watching import live
from qgjob.client.watching.watch import Watch
from qgjob.clock import Clock
from qgjob.domain.lifecycle import TERMINAL
from qgjob.errors import UnreachableError

EOF_GRACE_S: Final = 3.0
"""How long after a job's end its last output may still be on its way."""
_AWAY_S: Final = 1.0


async def read(
    bus: Bus, job_id: str, *, follow: bool, clock: Clock, tail: int | None = None
) -> AsyncGenerator[StoredChunk]:
    """See `Client.logs`."""
    if not follow:
        await query.job(bus, job_id)
        async for chunk in _Pages(bus, job_id, tail).rest():
            yield chunk
        return
    async with Watch(bus, job_id, clock=clock) as watch, live.logs(bus, job_id) as lines:
        if watch.kind != "job":
            await query.job(bus, job_id)  # raises: it is a run
        pages = _Pages(bus, job_id, tail)
        load = True
        give_up: float | None = None
        while True:
            if load:
                load = False
                try:
                    async for chunk in pages.rest():
                        yield chunk
                except UnreachableError:  # the scheduler is away: the live lines would leave a gap
                    load = True
                    await asyncio.sleep(_AWAY_S)
                    continue
            for item in lines.take():
                if isinstance(item, Resync):
                    load = True
                elif pages.take(item):
                    yield item
            if load:
                continue
            if watch.ended:
                if give_up is None:
                    give_up = clock.monotonic() + EOF_GRACE_S
                    load = True  # what was stored before the end is all there now
                    continue
                if _complete(watch.jobs[0], pages.eof) or clock.monotonic() >= give_up:
                    return
            await _either(watch, lines, None if give_up is None else give_up - clock.monotonic())


class _Pages:
    """Stored output behind what was read so far."""

    def __init__(self, bus: Bus, job_id: str, tail: int | None) -> None:
        self._bus = bus
        self._job_id = job_id
        self._tail = tail
        self._last = 0
        self.eof: set[int] = set()
        """Attempts whose output is complete."""

    def take(self, chunk: StoredChunk) -> bool:
        """Note a chunk; False when it was read before."""
        if chunk.stream_seq <= self._last:
            return False
        self._last = chunk.stream_seq
        if chunk.eof:
            self.eof.add(chunk.attempt)
        return True

    async def rest(self) -> AsyncGenerator[StoredChunk]:
        """What is stored and was not read yet."""
        while True:
            answer = await query.stored_logs(self._bus, self._job_id, self._last, tail=self._tail)
            self._tail = None  # further pages follow the last chunk
            for chunk in answer.chunks:
                if self.take(chunk):
                    yield chunk
            if not answer.more or not answer.chunks:
                return


def _complete(job: JobView, eof: set[int]) -> bool:
    if job.state not in TERMINAL:
        return False
    ran = [attempt.number for attempt in job.attempts if attempt.started_at is not None]
    return not ran or max(ran) in eof


async def _either(watch: Watch, lines: live.Live[StoredChunk], timeout: float | None) -> None:
    """Wait for output, a change of the job, or the time."""
    change = asyncio.ensure_future(watch.changes())
    line = asyncio.ensure_future(lines.ready())
    try:
        await asyncio.wait({change, line}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (change, line):
            task.cancel()
        await asyncio.wait({change, line})  # `wait` keeps our own cancel apart from theirs
    for task in (change, line):
        if not task.cancelled():
            task.result()
