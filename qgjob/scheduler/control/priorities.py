"""Priorities that were given after the submit: kept in a bucket, since a job's message never changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.control import CtlAnswer, ReprioritiseRequest
from bus_schemas.events import Reprioritised, about
from bus_schemas.rules import PriorityMark
from bus_schemas.streams import EVENTS_KEPT_S, PRIORITIES_BUCKET
from bus_schemas.tokens import encode_token
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.bus.publish import event_message
from qgjob.bus.publisher import Publisher
from qgjob.clock import Clock
from qgjob.domain.placement.events import JobReprioritised
from qgjob.errors import BadMessageError, UnknownIdError
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.control.bulk import Operation
from qgjob.scheduler.control.cancels import FindJobs, WaitForArrival
from qgjob.scheduler.slices import slices

log = logging.getLogger(__name__)

_FORGET_EVERY_S: Final = 600.0
_FORGET_AFTER_S: Final = EVENTS_KEPT_S + 3600.0
"""What was given to a job is of no use once it is over and cannot be retried: for that its first event is
needed, which is older. Some more, as clocks differ."""


@dataclass(slots=True)
class Priorities:
    """The priorities that were given after the submit, as one reign keeps them."""

    bus: Bus
    clock: Clock
    backlog: Backlog
    events: Publisher
    """The one that tells of what is queued: so nobody hears of a new priority before he hears of the job."""
    feed: Callable[..., None]
    find_jobs: FindJobs
    wait_for_arrival: WaitForArrival
    ready: asyncio.Event
    """Set when the backlog has been read."""
    _changed: dict[str, tuple[int, PriorityMark]] = field(default_factory=dict[str, tuple[int, PriorityMark]])
    """By job or run: when (the place in the bucket) and which."""

    async def load(self) -> None:
        """Read the priorities that were given in earlier reigns."""
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
                    self._changed[mark.id] = (message.seq, mark)

    async def run(self) -> None:
        """Drop the priorities of jobs and runs that are over, until cancelled."""
        await self.ready.wait()
        over: set[str] = set()
        while True:
            over = self.forget(over)
            await asyncio.sleep(_FORGET_EVERY_S)

    def forget(self, over: Collection[str]) -> set[str]:
        """Forget what was given to jobs and runs that are over for good; returns those found to be over.

        `over`: those found the last time. Between two attempts a job stands nowhere for a moment, so only
        what is found twice is forgotten.
        """
        before = self.clock.now() - _FORGET_AFTER_S
        entries, runs = self.backlog.entries, self.backlog.runs
        found = {
            name
            for name, (_, mark) in self._changed.items()
            if mark.at < before and name not in entries and name not in runs
        }
        for name in found.intersection(over):
            del self._changed[name]
        return found

    def priority_of(self, job_id: str, run_id: str, submitted: int) -> int:
        """A job's current priority: the one given last, to it or to its run, else that of its submit."""
        if not self._changed:
            return submitted
        given = [self._changed[i] for i in (job_id, run_id) if i in self._changed]
        return max(given, key=lambda each: each[0])[1].priority if given else submitted

    async def reprioritise(self, data: bytes, operation: Operation) -> CtlAnswer:
        """The control verb `reprioritise`."""
        request = ReprioritiseRequest.decode(data)
        await self.wait_for_arrival(request.id, operation)
        known = await self.find_jobs(request.id)
        docs = known.docs if known else []
        entries = self._live(request.id)
        if not entries and known is None:
            raise UnknownIdError(request.id)
        if not entries and all(doc.ended for doc in docs):
            return CtlAnswer(already=tuple(doc.job_id for doc in docs))
        await operation.add_jobs(len(entries))
        mark = await self._set(request, operation)
        # With what came in meanwhile; from now on it comes in with this priority.
        entries = self._live(request.id)
        waiting = [entry for entry in entries if not entry.released]
        async for some in slices(waiting):
            self.feed(*(JobReprioritised(e.job_id, self._now(e, request)) for e in some))
        shown = {doc.job_id: doc.priority for doc in docs}
        async for some in slices(entries):
            self._announce(some, shown, request, mark)
            await self.events.flushed()
            operation.done += len(some)
        live = {entry.job_id for entry in entries}
        others = [doc for doc in docs if doc.job_id not in live]
        return CtlAnswer(
            affected=tuple(e.job_id for e in waiting),
            later=(*(e.job_id for e in entries if e.released), *(d.job_id for d in others if not d.ended)),
            already=tuple(doc.job_id for doc in others if doc.ended),
        )

    def _announce(
        self,
        entries: Iterable[Entry],
        shown: Mapping[str, int],
        request: ReprioritiseRequest,
        mark: PriorityMark,
    ) -> None:
        """Post the events, but not of jobs that show their priority: these have it from before."""
        for entry in entries:
            if shown.get(entry.job_id) != (priority := self._now(entry, request)):
                given = about(entry, entry.attempt, mark.at)
                self.events.post(event_message(Reprioritised(**given, priority=priority, by=mark.by)))

    def _live(self, name: str) -> list[Entry]:
        """The attempts of a job or a run that wait or run."""
        ids = self.backlog.runs.get(name) or {name}
        return [self.backlog.entries[i] for i in sorted(ids) if i in self.backlog.entries]

    async def _set(self, request: ReprioritiseRequest, operation: Operation) -> PriorityMark:
        """Store a priority, unless the leader that began this did so; returns the one in force."""
        _, there = self._changed.get(request.id, (0, None))
        if operation.resumed and there is not None and there.at >= operation.accepted_at:
            return there  # it is this one, or was given later than this one
        mark = PriorityMark(id=request.id, priority=request.priority, by=request.by, at=self.clock.now())
        seq = await kv.put(self.bus, PRIORITIES_BUCKET, encode_token(request.id), mark.encode())
        self._changed[request.id] = (seq, mark)
        return mark

    def _now(self, entry: Entry, request: ReprioritiseRequest) -> int:
        """A job's current priority: the requested one, unless its own was given later."""
        return self.priority_of(entry.job_id, entry.run_id, request.priority)
