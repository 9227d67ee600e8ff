"""Read the backlog into memory: every waiting job, once its run is complete.

A run that came in several batches is complete when a job of its last one is seen, or when its
marker says so; one that is still open after 60 s is refused as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING

from bus_schemas import streams, subjects
from bus_schemas.events import Queued, Refused, about
from bus_schemas.jobs import JobMessage, JobSpec
from qgjob.bus.connect import Bus
from qgjob.bus.deadletters import set_aside
from qgjob.bus.follow import StreamMessage, stream_message
from qgjob.bus.publish import event_message
from qgjob.bus.publisher import Publisher
from qgjob.bus.pull import ACK, Puller
from qgjob.clock import Clock
from qgjob.domain.placement.events import Event, JobArrived
from qgjob.errors import BadMessageError, NewerMessageError
from qgjob.scheduler.backlog.enqueue import retrying_event
from qgjob.scheduler.backlog.entries import Backlog, Entry, placement_job
from qgjob.scheduler.backlog.runs import OpenRun, RunKey, Runs, shown_meta
from qgjob.scheduler.backlog.watermark import Watermark
from qgjob.scheduler.intake.superseding import Superseding
from qgjob.scheduler.slices import AT_ONCE

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

_PREFETCH = 1000
_BATCH = 200
"""Messages taken in at a go: in between the leader's key is renewed, whose answer stands in the same line."""

_MARKER_GONE_S = float(streams.RUN_MARKER_TTL_S)
"""No marker says any more of a run that is so old that it is complete; else it was refused long ago."""

_Arrival = tuple[StreamMessage, str, JobMessage]
"""A job's message, its place in the stream, and where to acknowledge it."""


@dataclass(slots=True)
class Intake:
    """Reads `QG_JOBS` for one reign and feeds the core."""

    bus: Bus
    clock: Clock
    backlog: Backlog
    runs: Runs
    events: Publisher
    feed: Callable[..., None]
    on_job: Callable[[Entry], None]
    """Called for each job that comes in, before it is fed."""
    has_ended: Callable[[Entry], bool]
    """Whether the end of a job's attempt was read before the job, which settles it."""
    on_spec: Callable[[JobSpec], None]
    """Called with what each of them is: it uses a build."""
    watermark: Watermark
    """Starts at the last job that an earlier reign announced."""
    horizon: int
    """The last sequence at the start; 0 when nothing waited."""
    open_run_s: float
    """How long a run may stay incomplete."""
    priority_of: Callable[[str, str, int], int]
    """The priority of a job (its id, its run's, that of its submit) by now."""
    superseding: Superseding
    before_next_batch: Callable[[], Awaitable[None]]
    """Waited for between two goes: what was placed goes out first."""
    on_caught_up: Callable[[], None]
    """Called once, when everything that was there at the start has been read."""
    too_new: int = 0
    """How many jobs are there that a newer release stored."""
    read_through: int = 0
    messages_read: int = 0
    """How many messages were read in this reign."""
    _completing: RunKey | None = None
    """The run whose last part is being taken in: it was stored at one go, so nothing comes in between."""

    async def run(self, consumer: str) -> None:
        """Read until cancelled; raises `ConsumerGoneError` when the consumer is lost."""
        inheriting = self.horizon > 0
        if not inheriting:
            self.on_caught_up()
        async with Puller(self.bus, streams.JOBS, consumer, ahead=_PREFETCH) as puller:
            while True:
                first = await puller.next()
                some = [first, *puller.take(_BATCH)]
                last = await self._handle_batch(some)
                self.messages_read += len(some)
                if not last.pending:
                    self._completing = None
                await asyncio.sleep(0)
                self.read_through = last.seq
                if inheriting and (last.seq >= self.horizon or not last.pending):
                    inheriting = False
                    self.on_caught_up()
                await self.before_next_batch()

    async def watch_open_runs(self) -> None:
        """Refuse runs that stay incomplete."""
        while True:
            await asyncio.sleep(1.0)
            now = self.clock.monotonic()
            for run in list(self.runs.open.values()):
                if now - run.since > self.open_run_s:
                    await self._refuse(run)

    def is_incomplete(self, run_id: str) -> bool:
        """Whether jobs of a run wait aside until all of it is in, or its last part is being taken in."""
        if self._completing is not None and self._completing[1] == run_id:
            return True
        return any(key[1] == run_id for key in self.runs.open)

    def announced_through(self) -> int:
        """All jobs of complete runs up to this sequence are announced; the next reign starts behind it."""
        first_open = min((e.seq for run in self.runs.open.values() for _, e, _ in run.waiting), default=None)
        read = self.read_through if first_open is None else min(self.read_through, first_open - 1)
        return self.watermark.advance(read, posted=self.events.posted, stored=self.events.done)

    async def _handle_batch(self, msgs: list[Msg]) -> StreamMessage:
        arrivals: list[_Arrival] = []
        stored = stream_message(msgs[0])
        for msg in msgs:
            stored = stream_message(msg)
            message = await self._decode(stored, msg.reply)
            if message is not None:
                arrivals.append((stored, msg.reply, message))
        await self.runs.learn(_key(message) for _, _, message in arrivals if message.attempt == 1)
        over = await self._superseded_by(arrivals)
        events: list[Event] = []
        for arrival in arrivals:
            await self._handle(arrival, events)
        self.feed(*events)
        self.superseding.end(over)
        return stored

    async def _superseded_by(self, arrivals: list[_Arrival]) -> list[tuple[str, str]]:
        """Which runs are superseded by those that are here as a whole: a part of a run replaces none."""
        return await self.superseding.learn(
            message
            for stored, _, message in arrivals
            # A later attempt is of a run that is known, but to a new leader.
            if (message.attempt == 1 or stored.seq <= self.horizon)
            and (message.part == message.parts - 1 or self._is_whole(message, stored.at))
        )

    async def _decode(self, stored: StreamMessage, ack: str) -> JobMessage | None:
        try:
            if len(stored.data) > self.bus.max_payload - streams.JOB_ROOM_BYTES:
                raise BadMessageError("the job is too large: its events would not fit into a message")
            message = JobMessage.decode(stored.data)
            _check_subject(stored.subject, message)
        except NewerMessageError as error:  # it stays, for a scheduler that can read it
            if not self.too_new:
                log.warning("jobs wait until this scheduler is upgraded: %s", error)
            self.too_new += 1
            return None
        except (BadMessageError, ValueError) as error:
            await self._dead_letter(stored, ack, str(error))
            return None
        return message

    async def _dead_letter(self, stored: StreamMessage, ack: str, why: str) -> None:
        if await set_aside(self.bus, streams.JOBS, stored.subject, stored.data, why, seq=stored.seq):
            await self.bus.nc.publish(ack, ACK)

    async def _handle(self, arrival: _Arrival, events: list[Event]) -> None:
        stored, ack, message = arrival
        spec = message.spec
        known = self.backlog.entries.get(spec.job_id)
        if known is not None and (known.org_id, known.run_id) != (spec.org_id, spec.run_id):
            text = f"the id {spec.job_id} is that of a live job of {known.org_id}, run {known.run_id}"
            await self._dead_letter(stored, ack, text)
            return
        if known is not None and known.attempt >= message.attempt:
            if known.released or stored.seq != known.seq:
                await self.bus.nc.publish(ack, ACK)
            else:
                known.ack = ack  # the same message once more, as after a long wait
            return
        run_id, org_id = intern(spec.run_id), intern(spec.org_id)
        entry = Entry(spec.job_id, run_id, org_id, message.attempt, stored.data, stored.seq, ack)
        entry.maybe_ended = message.again or stored.seq <= self.horizon or stored.delivered > 1
        if message.parts > 1 and message.attempt == 1 and not self._is_whole(message, stored.at):
            if message.part < message.parts - 1:
                self._hold_until_complete(message, entry, stored.at)
                return
            await self._complete(_key(message))
            self._completing = _key(message)
        elif self._completing != _key(message):
            self._completing = None
        self._admit(message, entry, stored.at, events)

    def _is_whole(self, message: JobMessage, at: float) -> bool:
        """Whether all of the run of a job that was stored then is known to be in the backlog, or was."""
        return self.runs.is_complete(_key(message)) or self.clock.now() - at > _MARKER_GONE_S

    def _hold_until_complete(self, message: JobMessage, entry: Entry, at: float) -> None:
        key = _key(message)
        run = self.runs.open.setdefault(key, OpenRun(key, self.clock.monotonic()))
        run.waiting.append((message, entry, at))

    async def _complete(self, key: RunKey) -> None:
        """All of a run is in: what waited for that is admitted, a part at a time."""
        run = self.runs.completed(key)
        while run and run.waiting:
            # They leave the open run as they are announced: up to there the next reign need not look.
            some, run.waiting = run.waiting[:AT_ONCE], run.waiting[AT_ONCE:]
            events: list[Event] = []
            for message, entry, at in some:
                self._admit(message, entry, at, events)
            self.feed(*events)
            await asyncio.sleep(0)
        self.runs.open.pop(key, None)

    def _admit(self, message: JobMessage, entry: Entry, at: float, events: list[Event]) -> None:
        if not self.has_ended(entry):
            self.backlog.add(entry)
            self.on_job(entry)
            spec = message.spec
            self.on_spec(spec)
            priority = self.priority_of(spec.job_id, spec.run_id, spec.priority)
            events.append(JobArrived(placement_job(message, at, entry.seq, priority=priority)))
        if entry.seq <= self.watermark.through:
            return
        if message.attempt == 1:
            self._announce(message, at)
            entry.announced_at_post = self.events.posted
        elif message.asked is not None and entry.seq <= self.horizon:
            # Who stored it may have died before that was told.
            self.events.post(retrying_event(message, "scheduler", at))

    def _announce(self, message: JobMessage, at: float) -> None:
        spec = message.spec
        marker = self.runs.marker(_key(message))
        queued = Queued(
            **about(spec, 1, at),
            spec=spec,
            run_size=marker.size if marker else 1,
            run_name=marker.name if marker else None,
            run_meta=shown_meta(marker) if marker and spec.position == 0 else {},
            not_before=message.not_before,
        )
        self.events.post(event_message(queued))

    async def _refuse(self, run: OpenRun) -> None:
        if not await self.runs.refuse(run):
            await self._complete(run.key)
            return
        text = f"run {run.key[1]} was still incomplete after {self.open_run_s:.0f} s and is refused"
        log.warning("%s", text)
        now = self.clock.now()
        for message, entry, _ in run.waiting:
            self.events.post(event_message(Refused(**about(message.spec, 1, now), message=text)))
            if entry.ack:
                await self.bus.nc.publish(entry.ack, ACK)
        self.runs.open.pop(run.key, None)


def _key(message: JobMessage) -> RunKey:
    return (message.spec.org_id, message.spec.run_id)


def _check_subject(subject: str, message: JobMessage) -> None:
    """A job must stand where it says it belongs: else it could speak for another organisation."""
    spec = message.spec
    named = subject.split(".", 3)[2]
    if not any(
        named == p and subjects.job(p, spec.org_id, spec.job_id) == subject for p in subjects.PRIORITY_CLASSES
    ):
        raise BadMessageError(f"the job {spec.job_id} of {spec.org_id} does not belong on {subject}")
