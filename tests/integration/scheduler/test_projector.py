"""The projector on a real server and a real store, both of which may go away at any time."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from bus_schemas import streams, subjects
from bus_schemas.agents import Heartbeat
from bus_schemas.deadletters import DeadLetter
from bus_schemas.events import subject_of
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.bus.topology import ensure_topology
from qgjob.client.watching import live
from qgjob.store.connect import Store
from qgjob.store.projection import Batch, Projection
from qgjob.store.reader import Reader
from tests.support.eventlog import record
from tests.support.histories import Ids, queued, started
from tests.support.projecting import lives, running, wait_until_projected
from tests.support.samples.lab import HEARTBEAT
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.stored import dump
from tests.support.wait import wait_for


async def test_events_that_come_one_by_one_are_written_together(
    bus: Bus, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[int] = []
    commit = Projection.commit

    async def noted(self: Projection, batch: Batch) -> None:
        await commit(self, batch)
        places.append(self.position.seq)

    monkeypatch.setattr(Projection, "commit", noted)
    monkeypatch.setattr("qgjob.scheduler.projection.projector.GATHER_S", 3600.0)
    async with running(bus, store, look_every_s=3600.0) as projector:
        first, *others = lives(0, 5)
        # Alone: nobody shall wait for its company.
        await wait_until_projected(store, await record(bus, [first]))
        await wait_for(lambda: places)  # it is in the store before it is noted here
        del places[:]
        last = 0
        for event in others:
            last = await record(bus, [event])
        # An end takes what was told before out of the stream: not all of them come.
        await wait_for(lambda: (read := projector._waiting) and read[-1].seq == last)  # pyright: ignore[reportPrivateUsage]
        assert places == []
        projector._many.set()  # pyright: ignore[reportPrivateUsage]  # as if it had waited for long enough
        await wait_until_projected(store, last)
        await wait_for(lambda: places)
        assert places == [last]


async def from_scratch(bus: Bus, store: Store, seq: int) -> dict[str, Any]:
    """What a new projector makes of the stream as it is now."""
    await store.client.flushall()
    async with running(bus, store):
        await wait_until_projected(store, seq)
        return await dump(store)


async def letters(bus: Bus) -> list[DeadLetter]:
    pages = [page async for page in read_all(bus, streams.DEAD, subjects.DEAD_ALL)]
    return [DeadLetter.decode(message.data) for page in pages for message in page]


async def test_what_was_there_and_what_comes(bus: Bus, store: Store) -> None:
    await record(bus, lives(0, 3))
    async with running(bus, store) as projector:
        last = await record(bus, lives(3, 3))
        await wait_until_projected(store, last)
        await wait_for(lambda: projector.lag == 0)
        found = await Reader(store).find("j_4")
    assert found.job is not None
    assert found.job.state == "passed"


async def test_started_and_stopped_again_and_again(bus: Bus, store: Store) -> None:
    last = 0
    async with running(bus, store) as projector:  # who is stopped before the first has begun begins anew
        await wait_for(lambda: projector.position.seq >= 0)
    for n in range(4):
        async with running(bus, store):
            last = await record(bus, lives(5 * n, 5))
    async with running(bus, store) as projector:
        await wait_until_projected(store, last)
        assert projector.rebuilds == 0
    now = await dump(store)
    assert now == await from_scratch(bus, store, last)


async def test_wiped_in_the_middle(bus: Bus, store: Store) -> None:
    async with running(bus, store) as projector:
        last = 0
        for n in range(4):
            last = await record(bus, lives(5 * n, 5))
            if not n:
                await wait_until_projected(store, last)  # who has written nothing misses nothing
            if n % 2:
                await store.client.flushall()
        await wait_until_projected(store, last)
        await wait_for(lambda: projector.rebuilds > 1)
        now = await dump(store)
    assert len([key for key in now if key.startswith("job:")]) == 20
    assert now == await from_scratch(bus, store, last)


async def test_wiped_while_nothing_happens(bus: Bus, store: Store) -> None:
    async with running(bus, store):
        last = await record(bus, lives(0, 2))
        await wait_until_projected(store, last)
        await store.client.flushall()
        await wait_until_projected(store, last)
        assert (await Reader(store).find("j_1")).job is not None


async def test_the_store_restarts_empty(bus: Bus, store: Store, valkey_server: ValkeyServer) -> None:
    async with running(bus, store) as projector:
        await wait_until_projected(store, await record(bus, lives(0, 5)))
        valkey_server.kill()
        last = await record(bus, lives(5, 5))
        await valkey_server.start()
        await wait_until_projected(store, last)
        now = await dump(store)
        assert projector.rebuilds == 2
    assert now == await from_scratch(bus, store, last)


async def test_the_server_restarts(bus: Bus, store: Store, nats_server: NatsServer) -> None:
    async with running(bus, store) as projector:
        await wait_until_projected(store, await record(bus, lives(0, 5)))
        await nats_server.restart()
        await wait_for(lambda: bus.connected)
        last = await record(bus, lives(5, 5))
        await wait_until_projected(store, last)
        assert projector.rebuilds == 1
        now = await dump(store)
    assert now == await from_scratch(bus, store, last)


async def test_the_stream_is_made_anew(bus: Bus, store: Store) -> None:
    async with running(bus, store) as projector:
        await wait_until_projected(store, await record(bus, lives(0, 5)))
        await bus.requests.api(f"STREAM.DELETE.{streams.EVENTS}")
        await ensure_topology(bus)
        await record(bus, lives(50, 6))
        await wait_for(lambda: projector.rebuilds == 2)
        await wait_for(lambda: projector.position.seq == 24)
        now = await dump(store)
    assert sorted(key for key in now if key.startswith("job:")) == [f"job:j_{n}" for n in range(50, 56)]


async def test_a_stream_that_is_made_anew_now_and_then_is_no_other_lab(
    bus: Bus, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("qgjob.scheduler.projection.projector._OTHERS", 2)
    monkeypatch.setattr("qgjob.scheduler.projection.projector._GOOD_LOOKS", 5)
    looks: list[float] = []
    stage = Projection.stage_chores

    async def noted(self: Projection, now: float) -> Batch | None:
        looks.append(now)
        return await stage(self, now)

    monkeypatch.setattr(Projection, "stage_chores", noted)
    async with running(bus, store, look_every_s=0.02) as projector:
        for n in range(1, 4):
            await wait_until_projected(store, await record(bus, lives(0, 1)))
            await wait_for(lambda n=n: projector.rebuilds == n)
            looks.clear()
            await wait_for(lambda: len(looks) > 6, 10, "a good phase")
            await bus.requests.api(f"STREAM.DELETE.{streams.EVENTS}")
            await ensure_topology(bus)
        await wait_for(lambda: projector.rebuilds == 4)
    assert "another lab" not in caplog.text


async def test_a_server_that_lost_its_last_writes(bus: Bus, store: Store, nats_server: NatsServer) -> None:
    kept, saved = nats_server.folder / "store", nats_server.folder / "saved"

    async def back(reconnects: int) -> None:
        await nats_server.start()
        await wait_for(lambda: bus.connected and bus.reconnects > reconnects)

    async with running(bus, store) as projector:
        await wait_until_projected(store, await record(bus, lives(0, 2)))
        nats_server.stop()
        shutil.copytree(kept, saved)
        await back(0)
        await wait_until_projected(store, await record(bus, [queued(Ids(job_id="j_lost"))]))
        nats_server.kill()
        shutil.rmtree(kept)
        saved.rename(kept)
        await back(1)
        last = await record(bus, [queued(Ids(job_id="j_other")), started(Ids(job_id="j_other"))])
        await wait_for(lambda: projector.rebuilds == 2)
        await wait_until_projected(store, last)
        jobs = {key for key in await dump(store) if key.startswith("job:")}
    assert jobs == {"job:j_0", "job:j_1", "job:j_other"}


async def test_two_at_the_same_time(bus: Bus, store: Store) -> None:
    async with running(bus, store), running(bus, store):
        last = await record(bus, lives(0, 30))
        await wait_until_projected(store, last)
        now = await dump(store)
    assert now == await from_scratch(bus, store, last)


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        ("qg.events.acme.r_1.j_1.1.info", b"no json"),
        ("qg.events.acme.r_1.j_1.1.info", b'{"v": 99, "kind": "queued"}'),
        ("qg.events.odd", queued(Ids()).encode()),
        (subject_of(queued(Ids(org_id="other"))), queued(Ids()).encode()),
        (subject_of(queued(Ids())), started(Ids()).encode()),
        ("qg.events.acme.r_1.j_1.1.info", b""),
    ],
    ids=["no json", "newer", "odd subject", "another organisation's", "wrong lane", "empty"],
)
async def test_what_is_no_event_is_set_aside_once(bus: Bus, store: Store, subject: str, data: bytes) -> None:
    async with running(bus, store) as projector:
        await record(bus, lives(0, 1))
        poison = (await bus.requests.publish(subject, data)).seq
        last = await record(bus, lives(1, 1))
        await wait_until_projected(store, last)
        assert projector.unreadable == 1
        (letter,) = await letters(bus)
        assert (letter.seq, letter.subject) == (poison, subject)
        await store.client.flushall()
        await wait_for(lambda: projector.rebuilds == 2)
        await wait_until_projected(store, last)
        assert len(await letters(bus)) == 1
        assert {k for k in await dump(store) if k.startswith("job:")} == {"job:j_0", "job:j_1"}


async def test_agents(bus: Bus, store: Store) -> None:
    key = store.keys.agent(HEARTBEAT.agent)
    async with running(bus, store):

        async def written() -> bool:
            await bus.nc.publish(subjects.live_agent("x"), b"no heartbeat")
            await bus.nc.publish(subjects.live_agent(HEARTBEAT.agent), HEARTBEAT.encode())
            return await store.client.hget(key, "host") == HEARTBEAT.host

        await wait_for(written)
        await store.client.flushall()
        await wait_for(written)


async def test_an_agent_that_speaks_for_another_is_not_believed(bus: Bus, store: Store) -> None:
    """A machine with an account of its own may publish as itself only, and write there what it likes."""
    own, forged = (
        HEARTBEAT.model_copy(update={"agent": "rogue"}),
        HEARTBEAT.model_copy(update={"state": "gone"}),
    )
    async with running(bus, store), live.agents(bus) as heard:

        async def written() -> bool:
            await bus.nc.publish(subjects.live_agent("rogue-2"), forged.encode())
            await bus.nc.publish(subjects.live_agent("rogue"), own.encode())
            return await store.client.hget(store.keys.agent("rogue"), "host") == own.host

        await wait_for(written)
        assert await store.client.hget(store.keys.agent(HEARTBEAT.agent), "host") is None
        assert {beat.agent for beat in heard.take() if isinstance(beat, Heartbeat)} == {"rogue"}


async def test_events_that_left_the_stream_are_not_waited_for(bus: Bus, store: Store) -> None:
    last = await record(bus, lives(0, 2))
    await bus.requests.api(f"STREAM.PURGE.{streams.EVENTS}", {"keep": 3})
    await bus.requests.api(f"STREAM.MSG.DELETE.{streams.EVENTS}", {"seq": last, "no_erase": True})
    async with running(bus, store) as projector:
        await wait_until_projected(store, last)
        await wait_for(lambda: projector.lag == 0)
        position = await Reader(store).position()
    assert position is not None
    assert not position.rebuilding
