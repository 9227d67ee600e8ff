"""Facts for `qgjob doctor` that only a scheduler may read: clock offsets, storage use, heartbeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bus_schemas import streams
from bus_schemas.agents import Heartbeat
from bus_schemas.queries import ClockView, StorageView
from bus_schemas.tokens import encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.bus.follow import StreamMessage
from qgjob.clock import Clock
from qgjob.errors import BadMessageError
from qgjob.scheduler.leadership.server_clock import read_server_time

TRAVELS_S: Final = 1.0
"""A heartbeat that takes longer from an agent to the server is late in other ways too."""


async def read_clocks(bus: Bus, clock: Clock) -> tuple[ClockView, ...]:
    """How far the clocks of this scheduler and of the agents go ahead of the server's.

    An agent's is told from the time in its last heartbeat and the time at which the server stored it.
    """
    return (await _own(bus, clock), *await _agents(bus))


async def read_storage(bus: Bus) -> StorageView:
    """What the streams of this account take on disk, and what they may."""
    account = await bus.requests.api("INFO")
    limit = int(account.get("limits", {}).get("max_storage", -1))
    return StorageView(used=int(account["storage"]), limit=limit if limit >= 0 else None)


async def _own(bus: Bus, clock: Clock) -> ClockView:
    before, began = clock.now(), clock.monotonic()
    server = await read_server_time(bus, streams.EVENTS)
    took = clock.monotonic() - began
    return ClockView(name="scheduler", ahead_s=before + took / 2 - server, bound_s=took / 2)


async def _agents(bus: Bus) -> list[ClockView]:
    return [
        ClockView(name=beat.agent, ahead_s=beat.at - at, bound_s=TRAVELS_S)
        for beat, at in await read_heartbeats(bus)
    ]


async def read_heartbeats(bus: Bus) -> list[tuple[Heartbeat, float]]:
    """The last heartbeat of each living agent, with when it was stored (seconds since 1970).

    Left out are those that say goodbye, what cannot be read, and what stands where another agent does.
    Raises `QgjobError` when the bucket does not answer.
    """
    bucket = streams.AGENTS_BUCKET
    # Asked for the last message of each subject, of which there is but one, the server gives 1,024 at most.
    pages = read_all(bus, f"KV_{bucket}", f"$KV.{bucket}.>")
    return [found async for page in pages for found in _living(page)]


def _living(messages: Iterable[StreamMessage]) -> Iterator[tuple[Heartbeat, float]]:
    for message in messages:
        if message.deleted:
            continue
        try:
            beat = Heartbeat.decode(message.data)
        except BadMessageError:
            continue
        if beat.state != "gone" and message.subject.rpartition(".")[2] == encode_token(beat.agent):
            yield beat, message.at
