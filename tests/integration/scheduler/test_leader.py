"""The leader's key is kept while the server is slow, and lost when it is away for too long."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bus_schemas.streams import LEADER_BUCKET, LEADER_TTL_S
from qgjob.bus import kv
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.clock import SystemClock
from qgjob.scheduler import reign
from qgjob.scheduler.leadership.election import KEY, DeposedError, Election
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for


async def renewals(bus: Bus, more: int) -> None:
    """Wait until the key was written so often again."""
    before = await kv.get(bus, LEADER_BUCKET, KEY)

    async def written() -> bool:
        now = await kv.get(bus, LEADER_BUCKET, KEY)
        return before is not None and now is not None and now.seq >= before.seq + more

    await wait_for(written, 10, "the key being renewed")


async def test_an_answer_that_comes_late_costs_no_reign(bus: Bus, nats_server: NatsServer) -> None:
    election = Election(bus, SystemClock(), "a")
    await election.acquire()
    keeping = asyncio.create_task(election.keep())
    await renewals(bus, 1)
    for _ in range(3):
        await asyncio.sleep(0.4)  # just before the next renewal is sent
        nats_server.pause()
        await asyncio.sleep(
            LEADER_TTL_S * 0.4
        )  # the lateness itself: longer than a renewal, shorter than a reign
        nats_server.resume()
        await renewals(bus, 2)
        assert not keeping.done(), keeping
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_a_server_that_is_silent_for_as_long_as_the_key_lives_ends_the_reign(
    bus: Bus, nats_server: NatsServer
) -> None:
    election = Election(bus, SystemClock(), "a")
    await election.acquire()
    keeping = asyncio.create_task(election.keep())
    await renewals(bus, 1)
    nats_server.pause()
    try:
        with pytest.raises(DeposedError):
            await asyncio.wait_for(keeping, 10)
    finally:
        nats_server.resume()


def stand_still(seconds: float) -> None:
    """As a process does that gets no processor: its event loop does not run."""
    time.sleep(seconds)


async def test_who_stood_still_for_longer_than_the_key_lives_reigns_on_if_nobody_else_did(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qgjob.scheduler.leadership.election._MAX_PAUSE_S", 60.0)
    election = Election(bus, SystemClock(), "a")
    mandate = await election.acquire()
    keeping = asyncio.create_task(election.keep())
    await renewals(bus, 1)
    stand_still(LEADER_TTL_S * 1.5)
    await renewals(bus, 2)
    assert not keeping.done(), keeping
    keeping.cancel()
    await asyncio.wait([keeping])
    await election.resign()
    assert (await Election(bus, SystemClock(), "b").acquire()).epoch > mandate.epoch


@pytest.mark.parametrize("goes", [False, True], ids=["the other reigns", "the other is gone again"])
async def test_who_stood_still_while_another_reigned_is_deposed(
    bus: Bus, nats_server: NatsServer, goes: bool
) -> None:
    async def another() -> None:
        async with open_bus(ServerOptions(url=nats_server.url)) as theirs:
            election = Election(theirs, SystemClock(), "b")
            await election.acquire()
            if goes:
                await election.resign()

    election = Election(bus, SystemClock(), "a")
    await election.acquire()
    keeping = asyncio.create_task(election.keep())
    await renewals(bus, 1)
    beside = threading.Thread(target=lambda: asyncio.run(another()))
    beside.start()
    beside.join()
    with pytest.raises(DeposedError):
        await asyncio.wait_for(keeping, 10)


async def test_who_stood_still_for_long_starts_anew(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qgjob.scheduler.leadership.election._MAX_PAUSE_S", LEADER_TTL_S * 1.25)
    election = Election(bus, SystemClock(), "a")
    await election.acquire()
    keeping = asyncio.create_task(election.keep())
    await renewals(bus, 1)
    stand_still(LEADER_TTL_S * 1.5)
    with pytest.raises(DeposedError):
        await asyncio.wait_for(keeping, 10)


async def test_who_is_to_make_the_bucket_again_and_gets_no_answer_looks_at_the_key_meanwhile(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a cluster that lost the server which led it and the bucket: the bucket is back by itself."""
    monkeypatch.setattr("qgjob.scheduler.leadership.election._MEND_WITHIN_S", 60.0)

    async def unanswered() -> None:
        await ensure_topology(bus)
        await asyncio.Event().wait()

    await bus.requests.api(f"STREAM.DELETE.KV_{LEADER_BUCKET}")
    election = Election(bus, SystemClock(), "a", mend=unanswered)
    await asyncio.wait_for(election.acquire(), 10)


async def test_who_made_the_bucket_in_vain_tries_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a cluster whose leader was gone just then, and never answers what it was asked."""
    monkeypatch.setattr("qgjob.scheduler.leadership.election._MEND_WITHIN_S", 0.5)
    tries = 0

    async def unanswered_at_first() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await asyncio.Event().wait()
        await ensure_topology(bus)

    await bus.requests.api(f"STREAM.DELETE.KV_{LEADER_BUCKET}")
    election = Election(bus, SystemClock(), "a", mend=unanswered_at_first)
    await asyncio.wait_for(election.acquire(), 20)
    assert tries > 1


async def test_the_key_is_renewed_while_a_reign_that_begins_waits_for_its_streams(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a cluster where some have no leader yet: without it the reign would begin anew."""
    go_on = asyncio.Event()

    async def waits(bus: Bus) -> list[str]:
        del bus
        await go_on.wait()
        return []

    async def led() -> bool:
        key = await kv.get(bus, LEADER_BUCKET, KEY)
        return key is not None and not key.deleted

    monkeypatch.setattr(reign, "missing_streams", waits)
    async with scheduling(nats_server, valkey_server):
        await wait_for(led, 20, "a leader")
        await renewals(bus, 2)
        go_on.set()
