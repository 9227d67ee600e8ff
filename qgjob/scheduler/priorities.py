"""Priorities that were given after the submit: kept in a bucket, since a job's message never changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bus_schemas import subjects
from bus_schemas.events import Reprioritised
from bus_schemas.requests import CtlAnswer
from bus_schemas.rules import PriorityMark, ReprioritiseRequest
from bus_schemas.streams import PRIORITIES_BUCKET
from bus_schemas.tokens import encode_token
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import Publisher, publish_each
from qgjob.clock import Clock
from qgjob.domain.placement.model import JobReprioritised
from qgjob.errors import BadMessageError, NotFoundError
from qgjob.scheduler.backlog import Backlog, Entry
from qgjob.scheduler.cancels import Known
from qgjob.scheduler.slices import slices

log = logging.getLogger(__name__)

_TOLD_AT_ONCE: Final = 500
"""So many events are stored before the answer; the others of a larger run follow."""


@dataclass(slots=True)
class Priorities:
    """Within one reign."""

    bus: Bus
    clock: Clock
    backlog: Backlog
    events: Publisher
    feed: Callable[..., None]
    known: Known
    _given: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """By job or run: when (the place in the bucket) and which."""

    async def recall(self) -> None:
        """Read what was given in earlier reigns."""
        bucket = f"KV_{PRIORITIES_BUCKET}"
        async for page in read_all(self.bus, bucket, kv.key_subject(PRIORITIES_BUCKET, ">")):
            for message in page:
                if message.deleted:
                    continue
                try:
                    mark = PriorityMark.decode(message.data)
                except BadMessageError as error:
                    log.warning("ignored a priority on %s: %s", message.subject, error)
                else:
                    self._given[mark.id] = (message.seq, mark.priority)

    def of(self, job_id: str, run_id: str, submitted: int) -> int:
        """A job's priority by now: what was given last, to it or to its run."""
        if not self._given:
            return submitted
        none = (0, submitted)
        return max(self._given.get(job_id, none), self._given.get(run_id, none))[1]

    async def reprioritise(self, data: bytes) -> CtlAnswer:
        """The control verb `reprioritise`."""
        request = ReprioritiseRequest.decode(data)
        docs = await self.known(request.id)
        ids = self.backlog.runs.get(request.id) or {request.id}
        entries = [self.backlog.entries[i] for i in sorted(ids) if i in self.backlog.entries]
        if not entries and docs is None:
            raise NotFoundError(f"There is no job or run {request.id}.")
        live = {entry.job_id for entry in entries}
        between = [doc for doc in docs or () if doc.job_id not in live and not doc.ended]
        ended = tuple(doc.job_id for doc in docs or () if doc.job_id not in live and doc.ended)
        if not entries and not between:
            return CtlAnswer(already=ended)
        mark = PriorityMark(id=request.id, priority=request.priority, by=request.by, at=self.clock.now())
        seq = await kv.put(self.bus, PRIORITIES_BUCKET, encode_token(request.id), mark.encode())
        self._given[request.id] = (seq, request.priority)
        waiting = [entry for entry in entries if not entry.released]
        async for some in slices(waiting):
            self.feed(*(JobReprioritised(entry.job_id, request.priority) for entry in some))
        await publish_each(self.bus, [self._event(entry, mark) for entry in entries[:_TOLD_AT_ONCE]])
        async for some in slices(entries[_TOLD_AT_ONCE:]):
            for entry in some:
                self.events.post(self._event(entry, mark))
        out = (*(e.job_id for e in entries if e.released), *(doc.job_id for doc in between))
        return CtlAnswer(affected=tuple(e.job_id for e in waiting), later=out, already=ended)

    def _event(self, entry: Entry, mark: PriorityMark) -> OutMsg:
        event = Reprioritised(
            org_id=entry.org_id,
            run_id=entry.run_id,
            job_id=entry.job_id,
            attempt=entry.attempt,
            at=mark.at,
            priority=mark.priority,
            by=mark.by,
        )
        subject = subjects.event(entry.org_id, entry.run_id, entry.job_id, entry.attempt, "info")
        return OutMsg(subject, event.encode())
