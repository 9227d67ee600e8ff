"""The health check: looks at each part of the system."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from bus_schemas import streams, subjects
from bus_schemas.agents import Heartbeat
from bus_schemas.base import SCHEMA_VERSION
from bus_schemas.queries import CheckView, HealthAnswer, Overview
from qgjob import __version__
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_last, read_page
from qgjob.bus.follow import StreamMessage
from qgjob.bus.topology import stream_state
from qgjob.bus.unreadable import UNREADABLE
from qgjob.clock import Clock
from qgjob.domain.durations import show_duration
from qgjob.domain.wording import pluralize, waiting_jobs
from qgjob.errors import QgjobError
from qgjob.scheduler.leadership.election import KEY as LEADER_KEY
from qgjob.scheduler.leadership.server_clock import read_server_time, server_time
from qgjob.scheduler.queries.lab_facts import (
    read_clocks,
    read_heartbeats,
    read_storage,
)
from qgjob.store.connect import NotPermittedError
from qgjob.store.reader import Reader

T = TypeVar("T")

MAX_LAG: Final = 5_000
"""How many events the projection may be behind and still count as following."""
MAX_LAG_S: Final = 15.0
"""How long an event may wait to be projected."""
MAX_WAIT_S: Final = 7 * 86_400.0
"""A submit may say no longer time (`--expires`), after which a job is to expire."""
_CHECK_S: Final = 2.5
_LATE_S: Final = 3.0
"""How much longer than its time what should have gone by itself may be seen."""
_FRESH_S: Final = 10.0
"""How old an overview may be: a leader tells of itself every two seconds."""
_CANNOT_WRITE: Final = "is the disk of the server full, or max_file_store reached?"
_STREAMS: Final = (
    streams.JOBS,
    streams.WORK,
    streams.EVENTS,
    streams.LOGS,
    streams.HISTORY,
    streams.DEAD,
)


async def read_agents(bus: Bus) -> list[Heartbeat]:
    """The agents that are alive, by name; raises `QgjobError` when the bucket does not answer."""
    return sorted((beat for beat, _ in await read_heartbeats(bus)), key=lambda beat: beat.agent)


class HealthCheck:
    """Runs all checks at once; none waits for another."""

    def __init__(
        self,
        bus: Bus,
        reader: Reader,
        clock: Clock,
        overview: Callable[[], Overview | None] = lambda: None,
    ) -> None:
        self._bus = bus
        self._reader = reader
        self._clock = clock
        self._overview = overview

    async def answer(self) -> HealthAnswer:
        """The result of every check; the system is well when each is."""
        checks: dict[str, Callable[[], Awaitable[CheckView]]] = {
            "nats": self._nats,
            "streams": self._streams,
            "store": self._store,
            "leader": self._leader,
            "projection": self._projection,
            "agents": self._agents,
            "queue": self._queue,
            "dead_letters": self._dead_letters,
        }
        facts = asyncio.gather(_known(read_clocks(self._bus, self._clock)), _known(read_storage(self._bus)))
        views = await asyncio.gather(*(_guarded(name, check) for name, check in checks.items()))
        clocks, storage = await facts
        return HealthAnswer(
            ok=all(view.ok for view in views),
            checks=tuple(views),
            at=self._clock.now(),
            version=__version__,
            schema_version=SCHEMA_VERSION,
            clocks=clocks or (),
            storage=storage,
        )

    async def _nats(self) -> CheckView:
        nc = self._bus.nc
        await self._bus.requests.round_trip(timeout=2)
        server = nc.connected_url.netloc.rpartition("@")[2] if nc.connected_url else "?"
        return CheckView(name="nats", ok=True, detail=f"nats-server {self._bus.server_version} at {server}")

    async def _streams(self) -> CheckView:
        states = await asyncio.gather(
            *(stream_state(self._bus, name) for name in _STREAMS), return_exceptions=True
        )
        counts: list[str] = []
        missing: list[str] = []
        for name, state in zip(_STREAMS, states, strict=True):
            if isinstance(state, BaseException):
                missing.append(name)
            else:
                counts.append(f"{name} {state['messages']}")
        if missing:
            return CheckView(name="streams", ok=False, detail=f"missing or silent: {', '.join(missing)}")
        return CheckView(name="streams", ok=True, detail="messages: " + ", ".join(counts))

    async def _store(self) -> CheckView:
        store = self._reader.store
        try:
            name = await store.ping()
        except NotPermittedError:
            unseen = "its user may not ask (INFO) for its version, and whether it throws keys away"
            return CheckView(name="store", ok=True, detail=f"it answers at {store.shown}; {unseen}")
        return CheckView(name="store", ok=True, detail=f"{name} at {store.shown}")

    async def _leader(self) -> CheckView:
        bucket = streams.LEADER_BUCKET
        stream = f"KV_{bucket}"
        now, keys = await asyncio.gather(
            read_server_time(self._bus, stream),
            read_last(self._bus, stream, [f"$KV.{bucket}.{LEADER_KEY}"]),
        )
        return leader_view(next((key for key in keys if not key.deleted), None), now)

    async def _projection(self) -> CheckView:
        info, position = await asyncio.gather(
            self._bus.requests.api(f"STREAM.INFO.{streams.EVENTS}"), self._reader.position()
        )
        if position is None:
            return CheckView(name="projection", ok=False, detail="the store holds no projection")
        if position.stream != str(info["created"]):
            detail = "the store holds another stream's: does another lab write there too?"
            return CheckView(name="projection", ok=False, detail=detail)
        lag = max(0, int(info["state"]["last_seq"]) - position.seq)
        if position.rebuilding:
            return CheckView(name="projection", ok=False, detail=f"being rebuilt, {lag} events to go")
        ok = lag <= MAX_LAG
        if ok and lag:  # by the server's clock, which stored both
            behind = await read_page(
                self._bus, streams.EVENTS, subjects.EVENTS_ALL, start_seq=position.seq + 1, limit=1
            )
            since = min((message.at for message in behind.messages), default=math.inf)
            ok = server_time(info) - since <= MAX_LAG_S
        return CheckView(name="projection", ok=ok, detail=f"{lag} events behind")

    async def _agents(self) -> CheckView:
        stream = f"KV_{streams.AGENTS_BUCKET}"
        now, beats = await asyncio.gather(read_server_time(self._bus, stream), read_heartbeats(self._bus))
        return agents_view(beats, now)

    async def _queue(self) -> CheckView:
        now = self._clock.now()
        stored = await self._reader.depths(now)
        depths: Mapping[str, int] = {name: one.waiting + one.delayed for name, one in stored.items()}
        delayed = sum(one.delayed for one in stored.values())
        since = min((one.oldest for one in stored.values() if one.oldest is not None), default=None)
        oldest = None if since is None else max(0.0, now - since)
        overview = self._overview()
        if overview is not None and now - overview.at <= _FRESH_S:
            # The leader's own numbers, as `queue status` has them; what it released waits no more.
            depths, delayed = overview.depths, overview.delayed
            oldest = oldest if overview.oldest_wait_s is None else overview.oldest_wait_s
        if not sum(depths.values()):
            return CheckView(name="queue", ok=True, detail="nothing waits")
        detail = f"waiting: {waiting_jobs(depths, delayed)}"
        ok = oldest is None or oldest <= MAX_WAIT_S
        if oldest is not None:
            detail += f"; the oldest for {show_duration(oldest)}"
        if overview is not None and overview.groups_held:
            detail += (
                f"; {pluralize(overview.groups_held, 'group')} wait: nats-server has room for "
                f"{overview.most_groups} at once (max_consumers)"
            )
        return CheckView(name="queue", ok=ok, detail=detail)

    async def _dead_letters(self) -> CheckView:
        count = int((await stream_state(self._bus, streams.DEAD))["messages"])
        aside = f"{pluralize(count, 'unreadable message')} set aside: `qgjob deadletters list`"
        return CheckView(name="dead_letters", ok=True, detail=aside if count else "none")


def leader_view(key: StreamMessage | None, now: float) -> CheckView:
    """How the leader's key stands at `now` of the server's clock.

    A key that nobody renews goes by itself, except from a server that cannot write.
    """
    if key is None:
        return CheckView(name="leader", ok=False, detail="no replica reigns: nothing is dispatched")
    replica, age = _replica(key.data), now - key.at
    if age > streams.LEADER_TTL_S + _LATE_S:
        detail = f"{replica} could not renew its reign for {show_duration(age)}: {_CANNOT_WRITE}"
        return CheckView(name="leader", ok=False, detail=detail)
    return CheckView(name="leader", ok=True, detail=f"{replica}, renewed at revision {key.seq}")


def agents_view(beats: Sequence[tuple[Heartbeat, float]], now: float) -> CheckView:
    """How many agents there are, and whether all are heard; each with when its heartbeat was stored."""
    if not beats:
        return CheckView(name="agents", ok=False, detail="no agent is alive: nothing can run")
    slots = sum(len(beat.slots) for beat, _ in beats)
    detail = f"{pluralize(len(beats), 'agent')}, {pluralize(slots, 'slot')}"
    late = [at for _, at in beats if now - at > streams.AGENT_TTL_S + _LATE_S]
    if late:
        who = "none was heard" if len(late) == len(beats) else f"{len(late)} were not heard"
        detail += f"; {who} for {show_duration(now - max(late))}: {_CANNOT_WRITE}"
    return CheckView(name="agents", ok=not late, detail=detail)


async def _known(fact: Awaitable[T]) -> T | None:
    """A fact, or None when it cannot be had in time: a check says then what is wrong."""
    try:
        async with asyncio.timeout(_CHECK_S):
            return await fact
    except (QgjobError, TimeoutError):
        return None


async def _guarded(name: str, check: Callable[[], Awaitable[CheckView]]) -> CheckView:
    try:
        async with asyncio.timeout(_CHECK_S):
            return await check()
    except QgjobError as error:
        return CheckView(name=name, ok=False, detail=error.message[:4000])
    except TimeoutError:
        return CheckView(name=name, ok=False, detail=f"no answer within {_CHECK_S:.1f} s")


def _replica(data: bytes) -> str:
    try:
        value: object = json.loads(data)
    except UNREADABLE:
        return "a replica"
    return f"replica {value['replica']}" if isinstance(value, dict) and "replica" in value else "a replica"
