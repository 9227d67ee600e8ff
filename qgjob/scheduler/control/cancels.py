"""Cancels jobs, and ends those that waited past their expiry, through their claim chains."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bus_schemas import subjects
from bus_schemas.agents import CancelAttempt
from bus_schemas.control import CancelRequest, CtlAnswer
from bus_schemas.events import Ended
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import ask_holder, end_unclaimed, read_chain
from qgjob.bus.connect import Bus
from qgjob.clock import Clock
from qgjob.domain.history import JobDoc
from qgjob.domain.placement.events import Event, Expire, JobWithdrawn
from qgjob.errors import QgjobError, UnknownIdError
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.backlog.job_specs import events_of
from qgjob.scheduler.control.bulk import Operation
from qgjob.scheduler.dispatch.lab import Lab
from qgjob.scheduler.leadership.recovery import holder_of
from qgjob.scheduler.queries.lookup import KnownJobs
from qgjob.scheduler.slices import gathered, slices

log = logging.getLogger(__name__)

_AT_ONCE = 200
_EXPIRED: Final = "it waited longer than it may"

FindJobs = Callable[[str], Awaitable[KnownJobs | None]]
"""The jobs that a job's or run's id stands for; None when it stands for nothing."""

WaitForArrival = Callable[[str, Operation], Awaitable[None]]
"""Waits until all jobs of an id that are stored by now are in the backlog, as far as they are to come."""


@dataclass(slots=True)
class Cancels:
    """Carries out cancels and expiries within one reign."""

    bus: Bus
    clock: Clock
    lab: Lab
    backlog: Backlog
    find_jobs: FindJobs
    wait_for_arrival: WaitForArrival
    on_already_ended: Callable[[Entry], None]
    """Called for an entry whose attempt turns out to have ended."""
    cancelling: dict[str, float] = field(default_factory=dict[str, float])
    """When the holder of each job was asked to end it (monotonic); infinite until it is this job's turn."""
    _retries: dict[str, JobMessage] = field(default_factory=dict[str, JobMessage])
    """The next attempts of jobs that are between two."""
    _cancel_on_arrival: dict[str, str] = field(default_factory=dict[str, str])
    """Reasons for which the next attempt of a job is to be cancelled as soon as it enters the backlog."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def run(self) -> None:
        """Run until cancelled, then cancel the tasks that are still ending jobs."""
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._tasks:
                task.cancel()

    def on_job(self, entry: Entry) -> None:
        """Called when a job enters the backlog: its attempt may have been cancelled before."""
        self._retries.pop(entry.job_id, None)
        reason = self._cancel_on_arrival.pop(entry.job_id, None)
        if reason is not None:
            self._spawn(self._end_and_log(entry, reason, lambda: self._end_entry(entry, "scheduler", reason)))

    def on_retry(self, job_id: str, following: JobMessage | None) -> None:
        """Note that a job ended and is retried as `following`; None: no further attempt is expected."""
        if following is not None:
            self._retries[job_id] = following
        else:
            self._retries.pop(job_id, None)
            self._cancel_on_arrival.pop(job_id, None)

    def on_ended(self, entry: Entry) -> None:
        """Called when a job has ended: its cancel is done."""
        self.cancelling.pop(entry.job_id, None)

    def on_expired(self, expire: Expire) -> None:
        """The placement effect: a job has expired."""
        entry = self.backlog.entries.get(expire.job.job_id)
        if entry is not None:
            self.end_expired(entry)

    def end_expired(self, entry: Entry) -> None:
        """End a job that has expired; called again while that fails."""
        entry.expired = True
        self._spawn(self._end_and_log(entry, _EXPIRED, lambda: self._expire(entry)))

    async def cancel(self, data: bytes, operation: Operation) -> CtlAnswer:
        """The control verb `cancel`."""
        request = CancelRequest.decode(data)
        await self.wait_for_arrival(request.id, operation)
        ids = sorted(self.backlog.runs.get(request.id, ())) or [request.id]
        entries = {i: self.backlog.entries[i] for i in ids if i in self.backlog.entries}
        await operation.add_jobs(len(entries))
        async for some in slices(list(entries.values())):
            for entry in some:
                entry.expired = False  # the cancel wins over an expiry that is not recorded yet
            self._withdraw(some, request.reason)

        async def end_entry(entry: Entry) -> bool:
            did = await self._end_entry(entry, request.by, request.reason, request.nonce)
            self._mark_requested([entry.job_id])
            operation.done += 1
            return did

        # What is held is ended at once: looking up what else the id stands for may take its time.
        looking = asyncio.ensure_future(self._jobs_elsewhere(request.id, entries))
        try:
            done = await gathered(list(entries.values()), end_entry)
            others = await looking
        except QgjobError:
            self._mark_requested(entries)
            raise
        finally:
            looking.cancel()
        done += await gathered(others, lambda doc: self._end_elsewhere(doc, request))
        names = [*entries, *(doc.job_id for doc in others)]
        return CtlAnswer(
            affected=tuple(i for i, did in zip(names, done, strict=True) if did),
            already=tuple(i for i, did in zip(names, done, strict=True) if not did),
        )

    async def _jobs_elsewhere(self, name: str, entries: Mapping[str, Entry]) -> list[JobDoc]:
        """The jobs of an id that are not in the backlog; raises `NotFoundError` for an unknown id."""
        if name in entries:
            return []
        known = await self.find_jobs(name)
        if known is None and not entries:
            raise UnknownIdError(name)
        return [doc for doc in (known.docs if known else ()) if doc.job_id not in entries]

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_and_log(self, entry: Entry, reason: str, end: Callable[[], Awaitable[object]]) -> None:
        self._withdraw([entry], reason)
        self._mark_requested([entry.job_id])
        try:
            await end()
        except QgjobError as error:
            log.warning("%s could not be ended: %s", entry.job_id, error)
        except Exception:  # nobody awaits it
            log.exception("%s could not be ended", entry.job_id)

    async def _expire(self, entry: Entry) -> None:
        async with self._limit:
            there = await end_unclaimed(
                self.bus, entry.message(), "expired", "queue_expiry", _EXPIRED, now=self.clock.now()
            )
        if isinstance(there, Ended):
            self.on_already_ended(entry)
        elif there is not None:  # somebody started it: it did not expire
            entry.expired, entry.cancel = False, None
            self.cancelling.pop(entry.job_id, None)

    def _withdraw(self, entries: Iterable[Entry], reason: str) -> None:
        """Withdraw them from placement; whatever goes wrong later, the reaper ends them."""
        waiting: list[Event] = []
        for entry in entries:
            entry.cancel = reason
            self.cancelling[entry.job_id] = math.inf
            if not entry.released:
                waiting.append(JobWithdrawn(entry.job_id))
        self.lab.feed(*waiting)

    def _mark_requested(self, job_ids: Iterable[str]) -> None:
        """Note that these were asked to end now: the reaper's patience starts from here."""
        now = self.clock.monotonic()
        self.cancelling.update((i, now) for i in job_ids if i in self.cancelling)

    async def _end_entry(self, entry: Entry, by: str, reason: str, nonce: str | None = None) -> bool:
        """Cancel a live attempt or have it ended; False when the job ended by itself before."""
        if await self._end(entry.message(), by, reason, nonce):
            return True
        self.on_already_ended(entry)
        return False

    async def _end_elsewhere(self, doc: JobDoc, request: CancelRequest) -> bool:
        """End a job of which no attempt is in the backlog: it ended, or is between two attempts."""
        following = self._retries.get(doc.job_id)
        if following is None:
            if doc.ended:
                return await self._cancelled_by(doc, request)
            # A new leader may not have come to this end yet: the next attempt is named in it.
            link, _ = await read_chain(self.bus, events_of(doc, doc.attempt, "state"))
            entry = self.backlog.entries.get(doc.job_id)
            if entry is not None:  # it came in meanwhile
                self._withdraw([entry], request.reason)
                self._mark_requested([doc.job_id])
                return await self._end_entry(entry, request.by, request.reason, request.nonce)
            if not isinstance(link, Ended) or link.next is None:
                return False
            following = link.next
        self._cancel_on_arrival[doc.job_id] = request.reason
        return await self._end(following, request.by, request.reason, request.nonce)

    async def _cancelled_by(self, doc: JobDoc, request: CancelRequest) -> bool:
        """Whether it was this very request that ended a job, as when an earlier leader began it."""
        if request.nonce is None or (doc.state, doc.message) != ("cancelled", request.reason):
            return False
        async with self._limit:
            link, _ = await read_chain(self.bus, events_of(doc, doc.attempt, "state"))
        return isinstance(link, Ended) and link.nonce == request.nonce

    async def _end(self, message: JobMessage, by: str, reason: str, nonce: str | None) -> bool:
        """Cancel an attempt, or the one that follows it; False when the job ended before.

        `nonce`: an end that bears it is as good as one of ours.
        """
        while True:
            async with self._limit:
                now = self.clock.now()
                there = await end_unclaimed(
                    self.bus, message, "cancelled", "cancelled", reason, now=now, nonce=nonce
                )
                if there is None:
                    return True
                if not isinstance(there, Ended):
                    there = await ask_holder(self.bus, message, by, reason, now=now)
            if not isinstance(there, Ended):
                break
            if there.final or there.next is None:
                return False
            # It is to be tried again: the end of that attempt is written before it is even put anywhere.
            message = there.next
            follower = self.backlog.entries.get(message.spec.job_id)
            if follower is None or follower.attempt < message.attempt:
                self._cancel_on_arrival[message.spec.job_id] = reason
            else:
                self._withdraw([follower], reason)
                self._mark_requested([follower.job_id])
        if there is not None and (holder := holder_of(there)) is not None:
            await self.send_cancel(message.spec.job_id, message.attempt, holder, reason)
        return True

    async def send_cancel(self, job_id: str, attempt: int, holder: str, reason: str) -> None:
        """Tell the slot that holds an attempt to end it. That may be lost: the reaper sends it again."""
        order = CancelAttempt(job_id=job_id, attempt=attempt, reason=reason)
        await self.bus.nc.publish(subjects.agent_verb(holder.rpartition("/")[0], "cancel"), order.encode())
