"""Answer control requests: cancel. Also ends what expired, by the same way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bus_schemas import subjects
from bus_schemas.agents import CancelAttempt
from bus_schemas.events import Cancelling, Ended, EndState
from bus_schemas.requests import CancelRequest, CtlAnswer, Problem
from qgjob.bus.chain import ask_holder, end_unclaimed
from qgjob.bus.connect import Bus
from qgjob.clock import Clock
from qgjob.domain.placement.model import Expire, JobWithdrawn
from qgjob.errors import BadMessageError, QgjobError
from qgjob.scheduler.backlog import Backlog, Entry
from qgjob.scheduler.lab import Lab
from qgjob.scheduler.recovery import holder_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

_AT_ONCE = 50


@dataclass(slots=True)
class Control:
    """Carries out what operators ask for, within one reign."""

    bus: Bus
    clock: Clock
    lab: Lab
    backlog: Backlog
    known: Callable[[str], Awaitable[list[str] | None]]
    """Ids of the jobs that a job or run id stands for, from the projection; None when unknown."""
    cancelling: dict[str, float] = field(default_factory=dict[str, float])
    """Jobs whose holder was asked to end them, and when (monotonic)."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the backlog has been read: before, a job that waits would be said to have ended."""
    _between: set[str] = field(default_factory=set[str])
    _wanted: dict[str, str] = field(default_factory=dict[str, str])
    """Cancels of jobs between two attempts: carried out when the next one comes in."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def run(self) -> None:
        """Answer until cancelled."""
        subscription = await self.bus.nc.subscribe(subjects.CTL_ALL, cb=self._on_request)
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._tasks:
                task.cancel()
            with contextlib.suppress(Exception):  # the connection may be the reason we stop
                await subscription.unsubscribe()

    def came_in(self, entry: Entry) -> None:
        """A job entered the backlog: it may have been cancelled before."""
        self._between.discard(entry.job_id)
        reason = self._wanted.pop(entry.job_id, None)
        if reason is not None:
            self._spawn(self._cancel_quietly(entry, "scheduler", reason, "cancelled"))

    def between(self, job_id: str, waits: bool) -> None:
        """A job ended and is to be tried again; or its next attempt is not to be waited for."""
        if waits:
            self._between.add(job_id)
        else:
            self._between.discard(job_id)
            self._wanted.pop(job_id, None)

    def ended(self, entry: Entry) -> None:
        """A job ended: there is nothing to wait for."""
        self.cancelling.pop(entry.job_id, None)

    def expire(self, expire: Expire) -> None:
        """A job waited too long."""
        entry = self.backlog.entries.get(expire.job.job_id)
        if entry is not None:
            self._spawn(self._cancel_quietly(entry, "scheduler", "it waited longer than it may", "expired"))

    async def _on_request(self, msg: Msg) -> None:
        self._spawn(self._answer(msg))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, msg: Msg) -> None:
        verb = msg.subject.split(".")[2]
        await self.ready.wait()
        try:
            if verb != "cancel":
                answer = _problem("bad_request", f"There is no control verb {verb!r}.")
            else:
                answer = await self._cancel(CancelRequest.decode(msg.data))
        except BadMessageError as error:
            answer = _problem("bad_request", error.message)
        except QgjobError as error:
            answer = _problem("unavailable", error.message)
        if msg.reply:
            await self.bus.nc.publish(msg.reply, answer.encode())

    async def _cancel(self, request: CancelRequest) -> CtlAnswer:
        ids = sorted(self.backlog.runs.get(request.id, ())) or [request.id]
        entries = [self.backlog.entries[i] for i in ids if i in self.backlog.entries]
        known = await self.known(request.id)
        if not entries and known is None:
            return _problem("not_found", f"There is no job or run {request.id}.")
        live = {entry.job_id for entry in entries}
        others = [job_id for job_id in known or () if job_id not in live]
        retried = {job_id for job_id in others if job_id in self._between}
        self._wanted.update(dict.fromkeys(retried, request.reason))
        done = await asyncio.gather(
            *(self._cancel_entry(entry, request.by, request.reason, "cancelled") for entry in entries)
        )
        affected = (*(e.job_id for e, did in zip(entries, done, strict=True) if did), *sorted(retried))
        already = tuple(e.job_id for e, did in zip(entries, done, strict=True) if not did)
        return CtlAnswer(affected=affected, already=(*already, *(i for i in others if i not in retried)))

    async def _cancel_quietly(self, entry: Entry, by: str, reason: str, state: EndState) -> None:
        try:
            await self._cancel_entry(entry, by, reason, state)
        except QgjobError as error:
            log.warning("%s could not be ended: %s", entry.job_id, error)

    async def _cancel_entry(self, entry: Entry, by: str, reason: str, state: EndState) -> bool:
        """End a job or have it ended; False when it ended by itself before."""
        async with self._limit:
            entry.cancel = reason
            # Whatever goes wrong below, the reaper ends the job: it is not placed any more.
            self.cancelling[entry.job_id] = self.clock.monotonic()
            if not entry.released:
                self.lab.feed(JobWithdrawn(entry.job_id))
            message = entry.message()
            word = "cancelled" if state == "cancelled" else "queue_expiry"
            there = await end_unclaimed(self.bus, message, state, word, reason, now=self.clock.now())
            if there is None:
                return True
            if state == "expired":
                return False  # somebody started it: it did not expire
            if not isinstance(there, Ended):
                there = await ask_holder(self.bus, message, by, reason, now=self.clock.now())
            if isinstance(there, Ended):
                if there.final:
                    return False
                follower = self.backlog.entries.get(entry.job_id)
                if follower is None or follower.attempt <= entry.attempt:
                    self._wanted[entry.job_id] = reason
                else:
                    self._spawn(self._cancel_quietly(follower, by, reason, state))
                return True
            if there is not None and not isinstance(there, Cancelling):
                holder = holder_of(there)
                if holder is not None:
                    order = CancelAttempt(job_id=entry.job_id, attempt=entry.attempt, reason=reason)
                    agent = holder.rpartition("/")[0]
                    await self.bus.nc.publish(subjects.agent_verb(agent, "cancel"), order.encode())
            return True


def _problem(code: str, message: str) -> CtlAnswer:
    return CtlAnswer(problem=Problem.model_validate({"code": code, "message": message}))
