"""Reads the claim chains: which attempts started, how they ended, and what is to be tried again.

The consumer is durable within a reign, and acknowledged only after a retry is in the backlog and what ended
is out of it; the next reign starts behind what this one settled. A retry that the backlog's stream refuses
waits aside: ends are read meanwhile, and jobs that are placed make room.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bus_schemas import streams
from bus_schemas.events import Ended, Retrying, Started, TakenOver, about, decode_event_at
from bus_schemas.jobs import JobMessage, labels_of
from qgjob.bus.chain import chain_subject, end_unclaimed, read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.follow import StreamMessage, stream_message
from qgjob.bus.publish import event_message
from qgjob.bus.publisher import Publisher
from qgjob.bus.pull import ACK, Puller
from qgjob.bus.requester import JsError
from qgjob.clock import Clock
from qgjob.domain.placement.events import Event, JobEnded, JobStarted
from qgjob.domain.placement.model import Released as Placed
from qgjob.domain.retry import may_start_at
from qgjob.errors import BadMessageError, RefusedError
from qgjob.scheduler.backlog.enqueue import put_attempt
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.dispatch.dispatcher import ACK_AFTER_S
from qgjob.scheduler.dispatch.quarantine import Quarantine
from qgjob.scheduler.dispatch.timings import Timings
from qgjob.scheduler.queries.test_history import outcomes_of

log = logging.getLogger(__name__)

_PREFETCH = 1000
_RETRY_DELAY_S = 1.0
_ACK_DELAY_S = ACK_AFTER_S + 1.0
"""By then what ended was acknowledged in the backlog. Another leader that found it there, and not its end,
would let it wait, and run once its end is forgotten."""
_ACK_EVERY_S = 0.5


@dataclass(slots=True)
class Chains:
    """Reads the claim chains for one reign."""

    bus: Bus
    clock: Clock
    backlog: Backlog
    events: Publisher
    feed: Callable[..., None]
    on_ended: Callable[[Entry], None]
    quarantine: Quarantine
    on_retry: Callable[[str, JobMessage | None], None]
    """Told of a job between two attempts which comes next; None: that is not to be waited for."""
    on_started: Callable[[str], None]
    """Told of a slot that has a job."""
    released: Mapping[str, Placed]
    """Jobs that are released and not ended."""
    horizon: int
    """Ends up to this sequence may have been handled by an earlier reign."""
    counted_through: int
    """Up to this sequence all counted in an earlier reign: operators may have pardoned since."""
    backlog_ready: asyncio.Event
    """Set when all that waited at the start is in the backlog."""
    timings: Timings = field(default_factory=Timings)
    ended_before_intake: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """Attempts whose end was read before what waits of them: it would wait for ever."""
    ended: dict[str, int] = field(default_factory=dict[str, int])
    """How many jobs ended for good, by state."""
    _retries: deque[tuple[Ended, JobMessage, int]] = field(
        default_factory=deque[tuple[Ended, JobMessage, int]]
    )
    """Ends that are to be tried again: as what, and the place of the end."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _read_through: int = 0
    """What stands up to there was read: while a retry waits, the server gives it again."""
    _last_ack: str = ""
    """Where to acknowledge all that was read."""
    _pending_acks: deque[tuple[float, int, str]] = field(default_factory=deque[tuple[float, int, str]])
    """When all that was read up to there was dealt with (monotonic), how many events were posted by then, and
    where to acknowledge it."""

    async def run(self, consumer: str) -> None:
        """Read until cancelled; raises `ConsumerGoneError` when the consumer is lost."""
        async with (
            Puller(self.bus, streams.EVENTS, consumer, ahead=_PREFETCH) as puller,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._store_retries(), name="chains: retries")
            tasks.create_task(self._acknowledge(), name="chains: acks")
            while True:
                first = await puller.next()
                batch = [first, *puller.take()]
                events: list[Event] = []
                for msg in batch:
                    stored = stream_message(msg)
                    if stored.seq > self._read_through:
                        self._handle(stored, events)
                        self._read_through, self._last_ack = stored.seq, msg.reply
                self.feed(*events)
                self._wake.set()

    async def _store_retries(self) -> None:
        """Put what is to be tried again into the backlog; when all is there, what was read is dealt with."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            refused = False
            while self._retries:
                ended, message, seq = self._retries[0]
                try:
                    await self._retry(ended, message, inherited=seq <= self.horizon)
                except JsError as error:  # such as a full stream: ending the reign would not help
                    if not refused:
                        log.warning("%s waits to be tried again: %s", message.spec.job_id, error)
                    refused = True
                    await asyncio.sleep(_RETRY_DELAY_S)
                    continue
                except RefusedError as error:  # it will never fit
                    await self._give_up(message, error.message)
                self._retries.popleft()
            self._pending_acks.append((self.clock.monotonic(), self.events.posted, self._last_ack))

    async def _acknowledge(self) -> None:
        while True:
            stored = self.events.done  # the backlog waits for that as well
            await asyncio.sleep(_ACK_EVERY_S)
            before, through = self.clock.monotonic() - _ACK_DELAY_S, ""
            while (
                self._pending_acks
                and self._pending_acks[0][0] <= before
                and self._pending_acks[0][1] <= stored
            ):
                *_, through = self._pending_acks.popleft()
            if through:
                await self.bus.nc.publish(through, ACK)

    async def _give_up(self, message: JobMessage, why: str) -> None:
        log.warning("%s cannot be tried again: %s", message.spec.job_id, why)
        self.on_retry(message.spec.job_id, None)
        now = self.clock.now()
        await end_unclaimed(self.bus, message, "errored", "lost", f"It could not be stored: {why}", now=now)

    def _handle(self, stored: StreamMessage, events: list[Event]) -> None:
        if stored.deleted:
            return
        try:
            event = decode_event_at(stored.subject, stored.data)
        except BadMessageError:
            return  # set aside by the projector, which reads all events
        again = stored.seq <= self.counted_through
        if isinstance(event, Started) and event.left:
            return  # nobody holds it now; its slot says by itself that it is gone
        if isinstance(event, Started | TakenOver):
            slot = f"{event.agent}/{event.slot}"
            events.append(JobStarted(event.job_id, event.attempt, slot))
            self.on_started(slot)
            if isinstance(event, TakenOver) and not again:
                events += self.quarantine.taken_over(event, lambda: self._labels(event.job_id))
            elif not again and (placed := self.released.get(event.job_id)) is not None:
                self.timings.started(placed.job, self.clock.now())
        elif isinstance(event, Ended):
            self._handle_end(event, events, again=again)
            if event.next is not None and _is_next_attempt(event, event.next):
                following = event.next
                if following.not_before is None and (at := may_start_at(following, event.state, stored.at)):
                    following = following.model_copy(update={"not_before": at})
                self._retries.append((event, following, stored.seq))
                self.on_retry(event.job_id, following)

    def _count_end(self, event: Ended, events: list[Event]) -> None:
        """Do what is done once for an end, however often it is read."""
        if event.final:
            self.ended[event.state] = self.ended.get(event.state, 0) + 1
        self.timings.ended(event.result)
        for message in outcomes_of(event):
            self.events.post(message)
        # Without an await in between: a slot that is put into quarantine gets nothing more.
        events += self.quarantine.ended(event, lambda: self._labels(event.job_id))

    def _handle_end(self, event: Ended, events: list[Event], *, again: bool) -> None:
        result = event.result
        events.append(
            JobEnded(
                job_id=event.job_id,
                attempt=event.attempt,
                slot=f"{result.agent}/{result.slot}" if result.agent else None,
                ran_s=result.duration_s,
                install_s=result.install_s,
                installed=result.installed,
                good=event.state in {"passed", "failed"},
                files=tuple((file.file, file.duration_s) for file in result.files),
            )
        )
        if not again:
            self._count_end(event, events)
        entry = self.backlog.drop(event.job_id, event.attempt)
        if entry is not None:
            self.on_ended(entry)
        elif not self.backlog_ready.is_set():
            self.ended_before_intake.add((event.job_id, event.attempt))

    def has_ended(self, entry: Entry) -> bool:
        """Whether what comes in now has ended: then it is settled, as if the end had come behind it."""
        if (entry.job_id, entry.attempt) not in self.ended_before_intake:
            return False
        self.ended_before_intake.discard((entry.job_id, entry.attempt))
        self.on_ended(entry)
        return True

    def _labels(self, job_id: str) -> frozenset[str]:
        """What a job that is out requires of a slot."""
        released = self.released.get(job_id)
        return labels_of(released.job.group.capability) if released else frozenset()

    async def _retry(self, ended: Ended, message: JobMessage, *, inherited: bool) -> None:
        spec = message.spec
        known = self.backlog.entries.get(spec.job_id)
        if known is not None and known.attempt >= message.attempt:
            self.on_retry(spec.job_id, None)
            return
        if inherited and (await read_chain(self.bus, chain_subject(message)))[0] is not None:
            self.on_retry(spec.job_id, None)
            return
        await put_attempt(self.bus, message)
        retrying = Retrying(
            **about(spec, ended.attempt, self.clock.now()),
            next_attempt=message.attempt,
            charged=ended.state != "errored",
            not_before=message.not_before,
        )
        self.events.post(event_message(retrying))


def _is_next_attempt(ended: Ended, message: JobMessage) -> bool:
    """Whether a retry is really the next attempt of the job that ended: what an agent says is checked."""
    spec = message.spec
    return (
        message.attempt == ended.attempt + 1
        and spec.job_id == ended.job_id
        and spec.run_id == ended.run_id
        and spec.org_id == ended.org_id
    )
