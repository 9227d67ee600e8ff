"""Read the backlog into memory: every waiting job, once its run is complete.

A run that came in several batches is complete when a job of its last one is seen, or when its
marker says so; one that is still open after 60 s is refused as a whole, aloud.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from bus_schemas import streams, subjects
from bus_schemas.events import Queued, Refused
from bus_schemas.jobs import JobMessage, RunMarker
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.deadletters import set_aside
from qgjob.bus.follow import StreamMessage, stream_message
from qgjob.bus.publish import TTL, OutMsg, expect, lost_compare
from qgjob.bus.publisher import Publisher
from qgjob.bus.pull import ACK, Puller
from qgjob.bus.requester import JsError
from qgjob.clock import Clock
from qgjob.domain.placement.model import Event, JobArrived
from qgjob.errors import BadMessageError
from qgjob.scheduler.backlog import Backlog, Entry, placement_job

log = logging.getLogger(__name__)

RUN_COMPLETE_WITHIN_S = 60.0
_AHEAD = 2000


@dataclass(slots=True)
class _OpenRun:
    org_id: str
    run_id: str
    since: float
    waiting: list[tuple[JobMessage, Entry, float]] = field(
        default_factory=list[tuple[JobMessage, Entry, float]]
    )


@dataclass(slots=True)
class Intake:
    """Reads `QG_JOBS` for one reign and feeds the core."""

    bus: Bus
    clock: Clock
    backlog: Backlog
    events: Publisher
    feed: Callable[..., None]
    on_job: Callable[[Entry], None]
    """Called for each job that comes in, before it is fed."""
    queued_through: int
    """Jobs up to this sequence were announced as queued by an earlier reign."""
    horizon: int
    on_inherited: Callable[[], None]
    """Called once, when everything that was there at the start has been read."""
    dead_letters: int = 0
    _open_runs: dict[str, _OpenRun] = field(default_factory=dict[str, _OpenRun])
    _complete: set[str] = field(default_factory=set[str])
    seen_through: int = 0

    async def run(self, consumer: str) -> None:
        """Read until cancelled; raises `ConsumerGoneError` when the consumer is lost."""
        caught_up = False
        async with Puller(self.bus, streams.JOBS, consumer, ahead=_AHEAD) as puller:
            if not self.horizon:
                caught_up = True
                self.on_inherited()
            while True:
                first = await puller.next()
                events: list[Event] = []
                for msg in (first, *puller.take()):
                    stored = stream_message(msg)
                    await self._take(stored, msg.reply, events)
                    self.seen_through = stored.seq
                    if not caught_up and (stored.seq >= self.horizon or not stored.pending):
                        caught_up = True
                        self.feed(*events)
                        events = []
                        self.on_inherited()
                if events:
                    self.feed(*events)

    async def watch_open_runs(self) -> None:
        """Refuse runs that stay incomplete."""
        while True:
            await asyncio.sleep(1.0)
            now = self.clock.monotonic()
            for run in list(self._open_runs.values()):
                if now - run.since > RUN_COMPLETE_WITHIN_S:
                    await self._refuse(run)

    async def announced_through(self) -> int:
        """All jobs of complete runs up to this sequence are announced; the next reign starts behind it."""
        seen = self.seen_through
        first_open = min((e.seq for run in self._open_runs.values() for _, e, _ in run.waiting), default=None)
        await self.events.drained()
        return seen if first_open is None else min(seen, first_open - 1)

    async def _take(self, stored: StreamMessage, ack: str, events: list[Event]) -> None:
        try:
            message = JobMessage.decode(stored.data)
            _check_subject(stored.subject, message)
        except (BadMessageError, ValueError) as error:
            if await set_aside(
                self.bus, streams.JOBS, stored.subject, stored.data, str(error), seq=stored.seq
            ):
                self.dead_letters += 1
                await self.bus.nc.publish(ack, ACK)
            return
        spec = message.spec
        known = self.backlog.entries.get(spec.job_id)
        if known is not None and known.attempt >= message.attempt:
            if known.released:
                await self.bus.nc.publish(ack, ACK)
            else:
                known.ack = ack
            return
        entry = Entry(spec.job_id, spec.run_id, spec.org_id, message.attempt, stored.data, stored.seq, ack)
        entry.doubtful = message.again or stored.seq <= self.horizon
        if (
            message.parts > 1
            and message.attempt == 1
            and not await self._is_complete(message, entry, stored.at, events)
        ):
            return
        self._admit(message, entry, stored.at, events)

    def _admit(self, message: JobMessage, entry: Entry, at: float, events: list[Event]) -> None:
        self.backlog.add(entry)
        self.on_job(entry)
        events.append(JobArrived(placement_job(message, at, entry.seq)))
        if message.attempt == 1 and entry.seq > self.queued_through:
            spec = message.spec
            queued = Queued(
                org_id=spec.org_id,
                run_id=spec.run_id,
                job_id=spec.job_id,
                attempt=1,
                at=at,
                spec=spec,
                not_before=message.not_before,
            )
            subject = subjects.event(spec.org_id, spec.run_id, spec.job_id, 1, "info")
            self.events.post(OutMsg(subject, queued.encode()))

    async def _is_complete(self, message: JobMessage, entry: Entry, at: float, events: list[Event]) -> bool:
        run_id = message.spec.run_id
        if run_id in self._complete:
            return True
        run = self._open_runs.get(run_id)
        if run is None:
            run = _OpenRun(message.spec.org_id, run_id, self.clock.monotonic())
            self._open_runs[run_id] = run
            if entry.seq <= self.horizon and await self._marker_state(run) == "complete":
                self._completed(run, events)
                return True
        if message.part == message.parts - 1:
            self._completed(run, events)
            return True
        run.waiting.append((message, entry, at))
        return False

    def _completed(self, run: _OpenRun, events: list[Event]) -> None:
        self._complete.add(run.run_id)
        del self._open_runs[run.run_id]
        for message, entry, at in run.waiting:
            self._admit(message, entry, at, events)

    async def _marker_state(self, run: _OpenRun) -> str | None:
        marker, _ = await self._marker(run)
        return marker.state if marker else None

    async def _marker(self, run: _OpenRun) -> tuple[RunMarker | None, int]:
        stored = await kv.get_last(self.bus, streams.JOBS, subjects.run_marker(run.org_id, run.run_id))
        if stored is None or stored.deleted:
            return None, 0
        try:
            return RunMarker.decode(stored.data), stored.seq
        except BadMessageError:
            return None, stored.seq

    async def _refuse(self, run: _OpenRun) -> None:
        """Close the marker by compare-and-set: the client's last batch and this cannot both succeed."""
        marker, seq = await self._marker(run)
        text = f"run {run.run_id} was still incomplete after {RUN_COMPLETE_WITHIN_S:.0f} s and is refused"
        if marker is not None and marker.state == "open":
            try:
                await self.bus.requests.publish(
                    subjects.run_marker(run.org_id, run.run_id),
                    marker.model_copy(update={"state": "refused"}).encode(),
                    headers={**expect(seq), TTL: f"{streams.RUN_MARKER_TTL_S}s"},
                )
            except JsError as error:
                if lost_compare(error):
                    return  # it became complete at the last moment: its last part is on the way
                raise
        elif marker is not None and marker.state == "complete":
            events: list[Event] = []
            self._completed(run, events)
            self.feed(*events)
            return
        log.warning("%s", text)
        now = self.clock.now()
        for message, entry, _ in run.waiting:
            spec = message.spec
            refused = Refused(
                org_id=spec.org_id, run_id=spec.run_id, job_id=spec.job_id, attempt=1, at=now, message=text
            )
            subject = subjects.event(spec.org_id, spec.run_id, spec.job_id, 1, "info")
            self.events.post(OutMsg(subject, refused.encode()))
            if entry.ack:
                await self.bus.nc.publish(entry.ack, ACK)
        self._open_runs.pop(run.run_id, None)


def _check_subject(subject: str, message: JobMessage) -> None:
    """A job must stand where it says it belongs: else it could speak for another organisation."""
    spec = message.spec
    priority = subjects.parse_job(subject).priority
    if subjects.job(priority, spec.org_id, spec.job_id) != subject:
        raise BadMessageError(f"the job {spec.job_id} of {spec.org_id} does not belong on {subject}")
