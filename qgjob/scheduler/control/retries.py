"""Retries jobs that have ended, on request.

The new attempt is stored first, then told. A request that is repeated because its answer was lost has
the same nonce, which stands in the attempt and in the event: it makes no second attempt.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.control import CtlAnswer, RetryRequest
from bus_schemas.events import Retrying
from bus_schemas.jobs import JobMessage, JobSpec
from qgjob.bus.connect import Bus
from qgjob.bus.publisher import Publisher, publish_each
from qgjob.clock import Clock
from qgjob.domain.history import JobDoc
from qgjob.domain.lifecycle import BAD_ENDS
from qgjob.errors import RefusedError, UnknownIdError
from qgjob.scheduler.backlog.enqueue import put_attempt, retrying_event
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.backlog.job_specs import read_infos, read_spec
from qgjob.scheduler.control.bulk import Operation
from qgjob.scheduler.control.cancels import FindJobs
from qgjob.scheduler.slices import gathered

_AT_ONCE: Final = 100
_HEARD_WITHIN_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.02


@dataclass(slots=True)
class Retries:
    """Carries out `retry` within one reign."""

    bus: Bus
    clock: Clock
    backlog: Backlog
    events: Publisher
    find_jobs: FindJobs
    _limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def retry(self, data: bytes, operation: Operation) -> CtlAnswer:
        """The control verb `retry`."""
        request = RetryRequest.decode(data)
        known = await self.find_jobs(request.id)
        if known is None:
            raise UnknownIdError(request.id)
        docs = known.docs
        await operation.add_jobs(len(docs))

        async def one(doc: JobDoc) -> str:
            outcome = await self._one(doc, request)
            operation.done += 1
            return outcome

        outcomes = await gathered(docs, one)
        named = list(zip(docs, outcomes, strict=True))

        def of(wanted: str) -> tuple[str, ...]:
            return tuple(doc.job_id for doc, outcome in named if outcome == wanted)

        # A job that waits for longer than events are kept is known to nobody but the backlog.
        beside = self.backlog.runs.get(request.id, set()).difference(doc.job_id for doc in docs)
        answer = CtlAnswer(
            affected=of("retried"),
            already=(*of("goes on"), *sorted(beside)),
            gone=of("gone"),
            forgotten=max(0, known.forgotten - len(beside)),
        )
        if not answer.affected and (answer.gone or (answer.forgotten and not docs and not beside)):
            raise RefusedError(
                f"What {request.id} was made of is not kept any more.",
                hint="Jobs can be retried for a day after their submit; submit it again.",
            )
        return answer

    async def _one(self, doc: JobDoc, request: RetryRequest) -> str:
        async with self._limit:
            entry = await self._find_entry(doc)
            if entry is not None:
                return "retried" if entry.message().asked == request.nonce else "goes on"
            if not doc.ended:
                return "goes on"
            if doc.attempt > 1 and await self._made_by(doc, request.nonce):
                return "retried"
            if request.failed and doc.state not in BAD_ENDS:
                return "not wanted"
            spec = await self._spec(doc)
            if spec is None:
                return "gone"
            # Marked as sent again: its chain is read before it is released, whoever else asks meanwhile.
            message = JobMessage(spec=spec, attempt=doc.attempt + 1, asked=request.nonce, again=True)
            await put_attempt(self.bus, message)
            told = retrying_event(message, request.by, self.clock.now())
            await publish_each(self.bus, [told])
            return "retried"

    async def _spec(self, doc: JobDoc) -> JobSpec | None:
        """What it was made of stands in the event that announced it, which may have been posted only."""
        spec = await read_spec(self.bus, doc)
        if spec is None:
            await self.events.flushed()
            spec = await read_spec(self.bus, doc)
        return spec

    async def _find_entry(self, doc: JobDoc) -> Entry | None:
        """The attempt that waits or runs.

        Of an end that is in the stream the leader may not have heard yet: that is waited for.
        """
        deadline = self.clock.monotonic() + _HEARD_WITHIN_S
        while True:
            entry = self.backlog.entries.get(doc.job_id)
            stale = entry is not None and doc.ended and entry.attempt <= doc.attempt
            if not stale or self.clock.monotonic() >= deadline:
                return entry
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _made_by(self, doc: JobDoc, nonce: str) -> bool:
        """Whether the job's last attempt was made by that very request."""
        return any(
            isinstance(event, Retrying) and event.nonce == nonce
            for event in await read_infos(self.bus, doc, doc.attempt - 1)
        )
