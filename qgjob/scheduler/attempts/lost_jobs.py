"""Ends jobs that the projection shows as live but whose message no stream holds any more.

The streams of the backlog and of the work were emptied or deleted while no leader was there to notice: such
a job would be shown as waiting or running, and be waited for, until its events are forgotten a day later, and
nobody could cancel it. It ends as lost by the lab: so it is tried again, like what any other trouble ended.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass
from typing import Final

from bus_schemas import streams
from bus_schemas.events import Ended
from bus_schemas.jobs import JobMessage
from bus_schemas.tokens import encode_token
from qgjob.bus.chain import end_held, read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_last
from qgjob.bus.topology import list_subjects
from qgjob.clock import Clock
from qgjob.domain.history import JobDoc
from qgjob.domain.lifecycle import HELD, WAITING
from qgjob.domain.retry import next_attempt
from qgjob.errors import QgjobError
from qgjob.scheduler.backlog.entries import Backlog
from qgjob.scheduler.backlog.job_specs import events_of, read_spec
from qgjob.store.reader import Reader

log = logging.getLogger(__name__)

_EVERY_S: Final = 20.0
_WAITING_EVERY: Final = 15
"""Among what waits it is looked in every so many rounds only: that may be a million."""
_SURE_S: Final = 60.0
"""How old the last news of a job must be: the projection is a moment behind."""
_AT_ONCE: Final = 500
"""How many are looked into in a round; the others' turn comes when these are ended."""
_WHY: Final = "its message vanished from the streams"


@dataclass(slots=True)
class LostJobs:
    """Looks for lost jobs now and then, within one reign."""

    bus: Bus
    clock: Clock
    backlog: Backlog
    reader: Reader
    ready: asyncio.Event
    """Set when all that waits is in the backlog."""

    async def run(self) -> None:
        """Find and end them, until cancelled. While the projection is away, none is found."""
        await self.ready.wait()
        for round_ in itertools.count():
            await asyncio.sleep(_EVERY_S)
            try:
                for doc in await self._find_lost(waiting=round_ % _WAITING_EVERY == 0):
                    await self._end_if_lost(doc)
            except QgjobError as error:
                log.debug("lost jobs cannot be looked for now: %s", error)

    async def _find_lost(self, *, waiting: bool) -> list[JobDoc]:
        """Jobs that are alive as far as the projection knows, and of which the backlog knows nothing."""
        entries = self.backlog.entries
        ids = await self.reader.alive(_AT_ONCE, HELD, besides=entries.keys())
        if waiting:
            known = sum(not entry.released for entry in entries.values())
            ids += await self.reader.alive(_AT_ONCE, WAITING, besides=entries.keys(), more_than=known)
        old = self.clock.now() - _SURE_S
        docs = (await self.reader.jobs(ids)).values()
        return [doc for doc in docs if not doc.ended and (doc.updated_at or 0.0) < old]

    async def _end_if_lost(self, doc: JobDoc) -> None:
        if doc.job_id in self.backlog.entries or await self._has_message(doc):
            return
        message = await self._recover_message(doc)
        if message is None:
            return
        link, _ = await read_chain(self.bus, events_of(doc, doc.attempt, "state"))
        if isinstance(link, Ended):
            return  # known already, or it ended and its next attempt is on its way
        following, now = next_attempt(message, "errored", None), self.clock.now()
        if await end_held(self.bus, message, "errored", "lost", _WHY, now=now, following=following):
            log.warning("%s attempt %d is ended: %s", doc.job_id, doc.attempt, _WHY)

    async def _has_message(self, doc: JobDoc) -> bool:
        """Whether its message is there, such as one that a scheduler of a later release has to read."""
        job = encode_token(doc.job_id)
        waits = await read_last(self.bus, streams.JOBS, [f"qg.jobs.*.*.{job}"])
        return bool(waits or await list_subjects(self.bus, streams.WORK, f"qg.work.*.*.*.{job}"))

    async def _recover_message(self, doc: JobDoc) -> JobMessage | None:
        """The message of the attempt, as it was or as good as it can be had; None when that is gone."""
        if doc.attempt > 1:
            before, _ = await read_chain(self.bus, events_of(doc, doc.attempt - 1, "state"))
            if isinstance(before, Ended) and before.next is not None:
                return before.next
        spec = await read_spec(self.bus, doc)
        return JobMessage(spec=spec, attempt=doc.attempt) if spec is not None else None
