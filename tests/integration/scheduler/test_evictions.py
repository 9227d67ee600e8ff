"""A store that throws keys away, ours or another application's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator

import pytest

from qgjob.bus.connect import Bus
from qgjob.store.connect import Store, open_store
from qgjob.store.position import Position, StreamState
from qgjob.store.projection import Projection
from tests.support.eventlog import record
from tests.support.projecting import lives, running, wait_until_projected
from tests.support.servers import ValkeyServer
from tests.support.stored import dump
from tests.support.wait import wait_for


async def test_a_store_that_throws_keys_away_is_written_anew(
    bus: Bus, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """What was lost of a job would let it wait again, for as long as anybody asks."""
    async with running(bus, store) as projector:
        events = lives(0, 50)
        last = await record(bus, events)
        await wait_until_projected(store, last)
        whole, built = await dump(store), projector.rebuilds

        async def rested() -> bool:
            return int(await store.client.object("idletime", store.keys.job("j_0"))) >= 1

        await wait_for(rested, 10, "keys that nobody used of late")
        await store.client.touch(store.keys.position)  # the place stays, so that nothing else tells of it
        used = int((await store.client.info("memory"))["used_memory"]) - 10_000
        await store.client.config_set("maxmemory-samples", "64")
        await store.client.config_set("maxmemory-policy", "allkeys-lru")
        await store.client.config_set("maxmemory", str(used))
        with contextlib.suppress(Exception):  # it may have thrown away all that it can
            await store.client.set("other", "x")
        await store.client.config_set("maxmemory", "0")
        await store.client.delete("other")
        await wait_for(lambda: projector.rebuilds > built, 20, "a projection that is built anew")

        async def all_there() -> bool:
            return await dump(store) == whole

        await wait_for(all_there, 20, "all that was there before")
    assert "threw " in caplog.text
    assert "noeviction" in caplog.text


@contextlib.asynccontextmanager
async def others_evicted(store: Store, valkey_server: ValkeyServer) -> AsyncGenerator[None]:
    """All the time another application's keys, in a database of its own, are thrown away."""
    url = f"redis://{valkey_server.host}:{valkey_server.port}/5"

    async def fill() -> None:
        async with open_store(url) as other:
            n = 0
            while True:
                n += 1
                with contextlib.suppress(Exception):  # it is full
                    await other.client.set(f"theirs:{n}", "x" * 10_000, ex=60)
                await asyncio.sleep(0.002)  # the projection needs some of the store meanwhile

    # Ours stay, since theirs end earlier.
    await store.client.config_set("maxmemory-samples", "64")
    await store.client.config_set("maxmemory-policy", "volatile-ttl")
    used = int((await store.client.info("memory"))["used_memory"])
    await store.client.config_set("maxmemory", str(used + 4_000_000))
    task = asyncio.create_task(fill())
    try:
        await wait_for(lambda: evicting(store), 20, "keys that are thrown away")
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def evicting(store: Store) -> bool:
    return await store.evicted() > 0


async def test_a_projection_stays_longer_each_time_though_others_keys_are_evicted(
    bus: Bus, store: Store, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qgjob.scheduler.projection.evictions.FIRST_S", 0.4)
    rebuilt: list[float] = []
    rebuild = Projection._rebuild  # pyright: ignore[reportPrivateUsage]

    async def noted(self: Projection, raw: dict[str, str], stream: StreamState) -> Position:
        rebuilt.append(asyncio.get_running_loop().time())
        return await rebuild(self, raw, stream)

    monkeypatch.setattr(Projection, "_rebuild", noted)
    last = await record(bus, lives(0, 5))
    async with others_evicted(store, valkey_server), running(bus, store):
        await wait_until_projected(store, last)
        await wait_for(lambda: len(rebuilt) >= 5, 20, "that it was built anew again and again")
    pauses = [after - before for before, after in itertools.pairwise(rebuilt[1:])]
    assert all(pause >= least for pause, least in zip(pauses, (0.4, 0.8, 1.6), strict=False)), pauses


async def test_a_rebuild_ends_though_others_keys_are_evicted(
    bus: Bus, store: Store, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qgjob.scheduler.projection.evictions.FIRST_S", 0.0)
    monkeypatch.setattr("qgjob.scheduler.projection.evictions.LONGEST_S", 0.0)
    monkeypatch.setattr("qgjob.scheduler.projection.projector.MAX_BATCH", 1)
    last = await record(bus, lives(0, 150))
    async with others_evicted(store, valkey_server), running(bus, store, look_every_s=0.05):
        await wait_until_projected(store, last)


async def test_a_store_whose_user_may_not_ask_for_evictions(
    bus: Bus, store: Store, valkey_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    await store.client.execute_command(
        *("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-@dangerous")
    )

    async def looked() -> bool:
        stats = await store.client.info("commandstats")
        return stats.get("cmdstat_info", {}).get("rejected_calls", 0) >= 4

    url = f"redis://plain:secret@{valkey_server.host}:{valkey_server.port}/0"
    async with open_store(url) as plain, running(bus, plain) as projector:
        await wait_until_projected(store, await record(bus, lives(0, 2)))
        await wait_for(looked, 10, "some looks")
        await wait_until_projected(store, await record(bus, lives(2, 2)))
        assert projector.rebuilds == 1
    assert "the projection rests" not in caplog.text
    assert caplog.text.count("cannot be watched") == 1
