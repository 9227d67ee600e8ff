"""Keep the store's projection up to date with the stream of events; only the leader's replica does.

Nothing waits for it: while the store is away, or is rebuilt after it was wiped, jobs run on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar, cast

from bus_schemas import subjects
from bus_schemas.agents import Heartbeat
from bus_schemas.events import decode_event_at
from bus_schemas.streams import EVENTS
from qgjob.backoff import Backoff
from qgjob.bus.connect import Bus
from qgjob.bus.follow import StreamMessage, follow
from qgjob.clock import SystemClock
from qgjob.domain.wording import pluralize
from qgjob.errors import BadMessageError, QgjobError, RefusedError
from qgjob.scheduler.projection.event_history import EventHistory, OtherStreamError
from qgjob.scheduler.projection.event_letters import EventLetters
from qgjob.scheduler.projection.evictions import Evictions
from qgjob.store.agents import write_agents
from qgjob.store.connect import NotPermittedError, Store, StoreUnavailableError
from qgjob.store.position import Position
from qgjob.store.projection import Batch, OutdatedError, Projection, StoredEvent
from qgjob.waiting import set_within

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BATCH: Final = 2000
"""Messages written at once at most."""
GATHER_S: Final = 0.1
"""Messages are gathered this long between two writes, which cost more than an event does."""
GATHER_LEAST_S: Final = 0.02
"""The same when they are `MANY` by then: to write more at a time would keep others waiting."""
MANY: Final = 100
LOOK_EVERY_S: Final = 1.0
"""How often it is checked whether store and stream are still the same, and which chores are due."""
_AHEAD: Final = 4096
_MAX_WAITING: Final = 8192
_MAX_AGENTS: Final = 10_000
_OTHERS: Final = 5
"""So often the store holds what another lab wrote, not just one stream of ours that somebody deleted."""
_GOOD_LOOKS: Final = 30
"""After so many looks at a store that was ours all the time, it is not another lab that wrote before."""
_REST_S: Final = 2.0
"""After a failure of any other kind than the store being away."""


class _EvictedError(QgjobError):
    """The store threw keys away: what is left of the projection may be wrong."""


class Projector:
    """Follows `QG_EVENTS` and the agents' heartbeats into the store.

    Two that overlap for a moment do no harm: a write is refused unless it continues the place
    that stands in the store, and who loses reads that place again.
    """

    def __init__(self, bus: Bus, store: Store, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._bus = bus
        self._store = store
        self._clock = SystemClock()
        self._look_every_s = look_every_s
        self._projection = Projection(store)
        self._anew = False
        self._waiting: list[StreamMessage] = []
        self._wake = asyncio.Event()
        self._many = asyncio.Event()
        self._room = asyncio.Event()
        self._caught_up_to = 0
        self._heartbeats: dict[str, bytes] = {}
        """The latest of each subject: what the next one replaces need not be read."""
        self._letters = EventLetters(bus)
        self._history = EventHistory(bus)
        self._store_away = False
        self._evictions = Evictions()
        self._looks = 0
        self._unwatched = False
        self._said = ""

    @property
    def position(self) -> Position:
        """How far the projection is; its `seq` is -1 before it was opened."""
        return self._projection.position

    @property
    def unreadable(self) -> int:
        """How many messages were no events and were left out."""
        return self._letters.count

    @property
    def rebuilds(self) -> int:
        """How often this projector began the projection anew."""
        return self._projection.rebuilds

    @property
    def lag(self) -> int | None:
        """How many places of the stream are not projected yet; None before that is known."""
        stream = self._history.stream
        if stream is None or self.position.seq < 0:
            return None
        return max(0, stream.last_seq - self.position.seq)

    async def run(self) -> None:
        """Work until cancelled, whatever the store and the server do meanwhile."""
        async with self._bus.subscribed(f"{subjects.LIVE_AGENTS}.*", self._on_heartbeat):
            while True:
                await self._run_once()
                # Two projectors that conflicted must not conflict again at once.
                await asyncio.sleep(random.uniform(0.05, 0.25))  # noqa: S311  (no secret)

    async def _run_once(self) -> None:
        """Project until something goes wrong, and log what it was."""
        try:
            await self._project()
        except OutdatedError as error:
            self._log_once(logging.INFO, f"the projection is read again: {error}")
        except OtherStreamError as error:
            self._anew = True
            self._log_once(logging.WARNING, f"the projection is built anew: {error}")
        except _EvictedError as error:
            self._anew = True
            self._log_once(logging.ERROR, f"the projection is built anew: {error}")
        except RefusedError as error:
            self._anew = True  # something else wrote under our keys: what is ours is written again
            self._log_once(logging.ERROR, f"the projection is built anew: {error}")
            await asyncio.sleep(_REST_S)
        except QgjobError as error:
            self._log_once(logging.WARNING, f"the projection rests: {error}")
            await asyncio.sleep(_REST_S)
        except Exception:
            # A bug here must not end the reign: jobs run without the projection.
            log.exception("the projection failed and is tried again")
            await asyncio.sleep(_REST_S)

    def _log_once(self, level: int, text: str) -> None:
        if text != self._said:
            log.log(level, "%s", text)
        self._said = text

    async def _project(self) -> None:
        stream = await self._history.read()
        position = await self._stored(lambda: self._projection.open(stream, anew=self._anew))
        if self._anew:
            self._evictions.rebuilt(self._clock.monotonic())
        self._anew = False
        if self._projection.of_others >= _OTHERS:
            self._projection.of_others = 0
            log.error(
                "another lab writes into the store at %s too, and each shows the other's jobs: give each a "
                "database of its own",
                self._store.shown,
            )
        await self._history.begin(position)
        self._waiting.clear()
        self._letters.forget()
        self._caught_up_to = 0
        self._looks = 0
        duties = {
            asyncio.create_task(self._pump(position.seq + 1, stream.last_seq), name="projector: pump"),
            asyncio.create_task(
                self._history.watch(lambda: self.position, self._look_every_s), name="projector: stream"
            ),
            asyncio.create_task(self._write(), name="projector: write"),
        }
        try:
            done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._history.end()
            await _end(duties)

    async def _pump(self, start: int, last_seq: int) -> None:
        """Read messages from the stream, as far as there is room for them."""

        def caught_up() -> None:
            self._caught_up_to = last_seq
            self._wake.set()

        everything = [subjects.EVENTS_ALL]
        messages = follow(
            self._bus, EVENTS, everything, start_seq=start, ahead=_AHEAD, on_caught_up=caught_up
        )
        async with contextlib.aclosing(cast("AsyncGenerator[list[StreamMessage]]", messages)):
            async for batch in messages:
                self._waiting += batch
                self._history.on_message(batch[-1])
                self._wake.set()
                if len(self._waiting) >= MANY:
                    self._many.set()
                while len(self._waiting) > _MAX_WAITING:
                    self._room.clear()
                    await self._room.wait()

    async def _write(self) -> None:
        """Write the messages that were read, and do the chores in between."""
        monotonic = self._clock.monotonic
        chores_at = monotonic() + self._look_every_s
        while True:
            await set_within(self._wake, max(0.0, chores_at - monotonic()))
            self._wake.clear()
            self._many.clear()
            came = bool(self._waiting)
            while self._waiting and monotonic() < chores_at:
                some, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                self._room.set()
                await self._write_batch(some)
            if not self._waiting and self._caught_up_to > self.position.seq:
                # The last messages left the stream by their age: nothing more comes up to there.
                await self._stored(self._reach_end)
            if monotonic() >= chores_at:
                await self._chores()
                chores_at = monotonic() + self._look_every_s
            elif came:
                await self._gather()
            if self._waiting:
                self._wake.set()

    async def _gather(self) -> None:
        await asyncio.sleep(GATHER_LEAST_S)
        await set_within(self._many, GATHER_S - GATHER_LEAST_S)

    async def _reach_end(self) -> None:
        await self._projection.reach(self._caught_up_to, self.position.at)

    async def _chores(self) -> None:
        while True:
            batch = await self._stored(lambda: self._projection.stage_chores(self._clock.now()))
            if batch is None:
                break
            await self._commit(batch)
        self._looks += 1
        if self._looks >= _GOOD_LOOKS:
            self._projection.of_others = 0
        await self._write_heartbeats()
        await self._look_for_evictions()

    async def _look_for_evictions(self) -> None:
        """A job whose key is gone would seem to wait again."""
        now = self._clock.monotonic()
        if not self._evictions.due(now, rebuilding=self.position.rebuilding):
            return
        try:
            evicted = await self._stored(self._store.evicted)
        except NotPermittedError as error:
            if not self._unwatched:
                self._unwatched = True
                log.warning("whether the store throws keys away cannot be watched (INFO): %s", error)
            return
        if gone := self._evictions.on_count(evicted, now):
            raise _EvictedError(
                f"the store at {self._store.shown} threw {pluralize(gone, 'key')} away, perhaps of "
                "qgjob's; set its maxmemory-policy to noeviction, or give qgjob one of its own"
            )

    async def _commit(self, batch: Batch) -> None:
        await self._stored(lambda: self._projection.commit(batch))

    async def _write_batch(self, messages: list[StreamMessage]) -> None:
        events: list[StoredEvent] = []
        for message in messages:
            if message.seq <= self.position.seq:
                continue
            try:
                events.append(
                    StoredEvent(decode_event_at(message.subject, message.data), message.seq, message.at)
                )
            except BadMessageError as error:
                await self._letters.set_aside(message, str(error), goal=self.position.goal)
        last, now = messages[-1], self._clock.now()
        await self._commit(await self._stored(lambda: self._projection.stage(events, last.seq, last.at, now)))

    async def _on_heartbeat(self, msg: Msg) -> None:
        if len(self._heartbeats) < _MAX_AGENTS or msg.subject in self._heartbeats:
            self._heartbeats[msg.subject] = msg.data

    async def _write_heartbeats(self) -> None:
        came, self._heartbeats = self._heartbeats, {}
        heartbeats: list[Heartbeat] = []
        for subject, data in came.items():
            with contextlib.suppress(BadMessageError):
                heartbeat = Heartbeat.decode(data)
                if subjects.live_agent(heartbeat.agent) == subject:  # else one agent speaks for another
                    heartbeats.append(heartbeat)
        if heartbeats:
            with contextlib.suppress(StoreUnavailableError):  # the next heartbeat comes in 5 s
                await write_agents(self._store, heartbeats)

    async def _stored(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something in the store, again and again while it is away."""
        backoff = Backoff()
        while True:
            try:
                result = await work()
            except StoreUnavailableError as error:
                if not self._store_away:
                    self._store_away = True
                    log.warning("the projection waits for the store: %s", error)
                await backoff.wait()
            else:
                if self._store_away:
                    self._store_away = False
                    log.info("the store is back: the projection goes on")
                return result


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: a library may swallow the first time."""
    pending = tasks
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)
