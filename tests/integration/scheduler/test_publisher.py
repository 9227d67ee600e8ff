"""What nobody waits for is published after what somebody does wait for, and together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from bus_schemas import streams, subjects
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import Publisher
from qgjob.bus.topology import ensure_topology, stream_state
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg


async def test_events_wait_for_those_who_go_first_and_then_go_all_at_once(bus: Bus) -> None:
    asked, free = asyncio.Event(), asyncio.Event()

    async def after() -> None:
        asked.set()
        await free.wait()

    publisher = Publisher(bus, after=after)
    subject = subjects.event("o", "r_1", "j_1", 1, "info")
    for number in range(3):
        publisher.post(OutMsg(subject, b"%d" % number))
    running = asyncio.create_task(publisher.run())
    try:
        await asked.wait()
        await bus.requests.round_trip()
        assert (await stream_state(bus, streams.EVENTS))["messages"] == 0
        free.set()
        await publisher.flushed()
        assert (await stream_state(bus, streams.EVENTS))["messages"] == 3
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_behind_a_burst_messages_are_gathered_until_somebody_waits_for_them(bus: Bus) -> None:
    publisher = Publisher(bus, gather_s=60.0)
    subject = subjects.event("o", "r_1", "j_1", 1, "info")
    publisher.post(OutMsg(subject, b"0"))
    running = asyncio.create_task(publisher.run())
    try:
        await wait_for(lambda: publisher.done == 1)  # the first waits for no others
        for number in range(1, 4):
            publisher.post(OutMsg(subject, b"%d" % number))
        for _ in range(20):
            await bus.requests.round_trip()
        assert (await stream_state(bus, streams.EVENTS))["messages"] == 1
        await asyncio.wait_for(publisher.flushed(), 20)
        assert (await stream_state(bus, streams.EVENTS))["messages"] == 4
        await asyncio.wait_for(publisher.flushed(), 20)  # of which nothing is left over
        publisher.post(OutMsg(subject, b"4"))
        await asyncio.wait_for(publisher.flushed(), 20)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_a_stream_without_a_leader_did_not_take_is_published_when_it_is_back(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bus.requests.api(f"STREAM.DELETE.{streams.EVENTS}")  # nobody answers for it, as in an election
    tries = 0
    send = bus.requests.send

    async def counted(
        subject: str,
        payload: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> asyncio.Future[Msg]:
        nonlocal tries
        tries += 1
        return await send(subject, payload, headers=headers, timeout=timeout)

    monkeypatch.setattr(bus.requests, "send", counted)
    publisher = Publisher(bus)
    publisher.post(OutMsg(subjects.event("o", "r_1", "j_1", 1, "info"), b"queued"))
    running = asyncio.create_task(publisher.run())
    try:
        await wait_for(lambda: tries > 40, 30, "an election that takes longer than most")
        assert not publisher.done, "it was given up"
        await ensure_topology(bus)
        await asyncio.wait_for(publisher.flushed(), 20)
        assert (await stream_state(bus, streams.EVENTS))["messages"] == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
