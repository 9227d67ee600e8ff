"""The projection on a real Valkey: each event once, whatever is wiped, repeated or raced."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus_schemas.events import Progress
from qgjob.errors import RefusedError
from qgjob.store.agents import write_agents
from qgjob.store.connect import Store, StoreUnavailableError, open_store
from qgjob.store.keys import ENDED_KEPT_S, LIVE_KEPT_S, Keys
from qgjob.store.position import StreamState
from qgjob.store.projection import OutdatedError, Projection, StoredEvent
from qgjob.store.reader import Filters, Reader, RebuildingError
from tests.support.examples import examples
from tests.support.histories import BEGIN, Ids, ended, lifetime, queued, said, started, streams
from tests.support.samples.lab import HEARTBEAT
from tests.support.servers import ValkeyServer
from tests.support.stored import dump, wipe

NOW = BEGIN + 1000


def state_of(stream: Sequence[StoredEvent], created: str = "s1") -> StreamState:
    return StreamState(created, len(stream), stream[-1].seq if stream else 0)


async def feed(projection: Projection, events: Sequence[StoredEvent], *, size: int = 100) -> None:
    for start in range(0, len(events), size):
        some = events[start : start + size]
        await projection.commit(await projection.stage(some, some[-1].seq, some[-1].at, NOW))


async def built(store: Store, stream: Sequence[StoredEvent]) -> dict[str, Any]:
    """What a projection from scratch in one go holds."""
    async with open_store(_url(store), keys=Keys(secrets.token_hex(8))) as fresh:
        projection = Projection(fresh)
        await projection.open(state_of(stream))
        await feed(projection, stream)
        found = await dump(fresh)
        await wipe(fresh)
        return found


def _url(store: Store) -> str:
    return store.shown


def made(count: int, *, runs: int = 2) -> list[StoredEvent]:
    """Lives of some jobs, one after another."""
    events = [
        event
        for n in range(count)
        for event in lifetime(
            Ids("acme" if n % 2 else "other", f"r_{n % runs}", f"j_{n:03}", f"v{n % 3}"),
            position=n // runs,
            size=count // runs,
            state="failed" if n % 5 == 0 else "passed",
        )
    ]
    return [StoredEvent(event, seq, NOW - 500 + seq) for seq, event in enumerate(events, 1)]


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(stream=streams(), data=st.data())
def test_a_prefix_and_its_replay_are_the_whole(
    shared_valkey: ValkeyServer, stream: list[StoredEvent], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(stream)), "batch size")
    cached = data.draw(st.sampled_from([1, 2, 1000]), "documents in memory")
    stop = data.draw(st.integers(0, len(stream)), "how far the first writer came")
    again = data.draw(st.integers(0, stop), "where the second begins to read")
    flushed = data.draw(st.booleans(), "wiped in between")

    async def check() -> None:
        async with open_store(shared_valkey.url, keys=Keys(secrets.token_hex(8))) as store:
            first = Projection(store, cached=cached)
            await first.open(state_of(stream))
            await feed(first, stream[:stop], size=size)
            if flushed:
                await wipe(store)
            second = Projection(store, cached=cached)
            await second.open(state_of(stream))
            await feed(second, stream[0 if flushed else again :], size=size)
            assert await dump(store) == await built(store, stream)
            await wipe(store)

    asyncio.run(check())


async def test_wiped_in_the_middle(store: Store) -> None:
    stream = made(20)
    projection = Projection(store)
    await projection.open(state_of(stream))
    await feed(projection, stream[:50])
    await wipe(store)
    with pytest.raises(OutdatedError, match="wiped"):
        await feed(projection, stream[50:])
    assert (await projection.open(state_of(stream))).seq == 0
    await feed(projection, stream)
    assert await dump(store) == await built(store, stream)
    assert projection.rebuilds == 2


async def test_a_wipe_is_noticed_without_an_event(store: Store) -> None:
    projection = Projection(store)
    await projection.open(StreamState("s1", 0, 0))
    assert await projection.stage_chores(NOW) is None
    await wipe(store)
    with pytest.raises(OutdatedError):
        await projection.stage_chores(NOW)


async def test_of_two_writers_one_makes_progress(store: Store) -> None:
    stream = made(6)
    one, two = Projection(store), Projection(store)
    await one.open(state_of(stream))
    assert (await two.open(state_of(stream))).build == one.position.build
    batch = await two.stage(stream[:5], 5, NOW, NOW)
    await feed(one, stream[:8])
    with pytest.raises(OutdatedError, match="another writer"):
        await two.commit(batch)
    assert (await two.open(state_of(stream))).seq == 8
    await feed(two, stream)
    assert await dump(store) == await built(store, stream)


async def test_a_write_whose_answer_was_lost_may_be_repeated(store: Store) -> None:
    stream = made(3)
    projection = Projection(store)
    before = await projection.open(state_of(stream))
    batch = await projection.stage(stream, stream[-1].seq, NOW, NOW)
    await projection.commit(batch)
    projection.position = before
    await projection.commit(batch)
    assert projection.position.seq == stream[-1].seq


async def test_a_batch_that_was_given_up_is_not_forgotten(store: Store) -> None:
    stream = made(3)
    projection = Projection(store)
    await projection.open(state_of(stream))
    await projection.stage(stream[:5], 5, NOW, NOW)
    await projection.open(state_of(stream))
    await feed(projection, stream)
    assert (await dump(store))["run:r_0"] == (await built(store, stream))["run:r_0"]


@pytest.mark.parametrize(
    "stream", [StreamState("s2", 1, 100), StreamState("s1", 1, 11)], ids=["made anew", "shorter"]
)
async def test_another_stream_is_projected_from_its_beginning(store: Store, stream: StreamState) -> None:
    projection = Projection(store)
    await projection.open(state_of(made(3)))
    await feed(projection, made(3))
    assert (await projection.open(stream)).seq == 0
    assert list(await dump(store)) == ["qgjob:projection"]
    only = [StoredEvent(queued(Ids(job_id="j_new")), 1, NOW)]
    await feed(projection, only)
    assert "job:j_000" not in await dump(store)


async def test_a_stream_without_messages_is_projected_at_once(store: Store) -> None:
    projection = Projection(store)
    position = await projection.open(StreamState("s1", 0, 500))
    assert (position.seq, position.rebuilding) == (500, False)
    assert (await Reader(store).list(Filters(), limit=5)).jobs == []


async def test_an_interrupted_wipe_is_begun_again(store: Store) -> None:
    stream = made(3)
    projection = Projection(store)
    await projection.open(state_of(stream))
    await feed(projection, stream)
    await store.client.hset(store.keys.position, "seq", "-1")
    assert (await Projection(store).open(state_of(stream))).seq == 0
    assert "job:j_000" not in await dump(store)


async def test_lists_wait_for_the_rebuild(store: Store) -> None:
    stream = made(3)
    reader = Reader(store)
    with pytest.raises(RebuildingError, match="no projection"):
        await reader.list(Filters(), limit=5)
    projection = Projection(store)
    await projection.open(state_of(stream))
    await feed(projection, stream[:3])
    with pytest.raises(RebuildingError, match="25 %"):
        await reader.list(Filters(), limit=5)
    await feed(projection, stream)
    assert len((await reader.list(Filters(), limit=5)).jobs) == 3


async def test_what_something_else_wrote_under_our_keys_is_written_again(store: Store) -> None:
    stream = made(3)
    projection = Projection(store)
    await projection.open(state_of(stream))
    await store.client.set(store.keys.run("r_0"), "mine")
    with pytest.raises(RefusedError, match="WRONGTYPE"):
        await feed(projection, stream)
    await projection.open(state_of(stream), anew=True)
    await feed(projection, stream)
    assert await dump(store) == await built(store, stream)


async def test_a_hash_that_is_none_of_ours_is_no_job(store: Store) -> None:
    await store.client.hset(store.keys.job("j_x"), "state", "dancing")
    reader = Reader(store)
    assert (await reader.find("j_x")).job is None
    assert await reader.jobs(["j_x"]) == {}
    projection = Projection(store)
    await projection.open(StreamState("s1", 1, 1))
    await feed(projection, [StoredEvent(queued(Ids(job_id="j_x")), 1, NOW)])
    found = (await reader.find("j_x")).job
    assert found is not None
    assert found.state == "queued"


async def test_how_long_keys_live(store: Store) -> None:
    ids = Ids()
    projection = Projection(store)
    await projection.open(StreamState("s1", 4, 4))
    now = float((await store.client.time())[0])
    live = await projection.stage([StoredEvent(queued(ids), 1, now)], 1, now, now)
    await projection.commit(live)
    for key in ("job:j_1", "run:r_1", "run:r_1:jobs", "jobs:medium", "qgjob:idx:all", "qgjob:idx:org:acme"):
        assert LIVE_KEPT_S - 10 < await store.client.ttl(store.keys.prefix + key) <= LIVE_KEPT_S, key
    done = await projection.stage([StoredEvent(ended(ids), 2, now - 100)], 2, now, now)
    await projection.commit(done)
    for key in ("job:j_1", "run:r_1", "run:r_1:jobs"):
        ttl = await store.client.ttl(store.keys.prefix + key)
        assert ENDED_KEPT_S - 110 < ttl <= ENDED_KEPT_S - 90, key
    await write_agents(store, [HEARTBEAT])
    assert 290 < await store.client.ttl(store.keys.agent(HEARTBEAT.agent)) <= 300


async def test_ended_jobs_are_forgotten_after_a_day(store: Store) -> None:
    stream = made(6)
    projection = Projection(store)
    await projection.open(state_of(stream))
    await feed(projection, stream)
    last = stream[-5].at + ENDED_KEPT_S
    batch = await projection.stage_chores(last)
    assert batch is not None
    await projection.commit(batch)
    assert await projection.stage_chores(last) is None
    left = await dump(store)
    assert set(left["qgjob:idx:all"]) == {"j_005"}
    assert set(left["qgjob:idx:state:failed"]) == set(left["qgjob:idx:org:acme"]) == {"j_005"}
    assert "qgjob:idx:state:passed" not in left
    assert set(left["run:r_1:jobs"]) == {"j_005"}
    assert "qgjob:idx:org:other" not in left
    assert [key for key in left if key.startswith("job:")] == ["job:j_005"]


async def test_the_oldest_go_first_beyond_the_bound(store: Store) -> None:
    stream = made(10)
    projection = Projection(store, kept=4)
    await projection.open(state_of(stream))
    await feed(projection, stream)
    while (batch := await projection.stage_chores(NOW)) is not None:
        await projection.commit(batch)
    assert sorted((await dump(store))["qgjob:idx:all"]) == ["j_006", "j_007", "j_008", "j_009"]


async def test_delayed_jobs_become_due(store: Store) -> None:
    ids = Ids()
    projection, reader = Projection(store), Reader(store)
    await projection.open(StreamState("s1", 1, 1))
    await feed(projection, [StoredEvent(queued(ids, not_before=NOW + 60, size=3), 1, NOW)])
    depths = await reader.depths(NOW)
    assert (depths["medium"].waiting, depths["medium"].delayed) == (0, 1)
    assert await projection.stage_chores(NOW + 59) is None
    batch = await projection.stage_chores(NOW + 61)
    assert batch is not None
    await projection.commit(batch)
    assert await projection.stage_chores(NOW + 62) is None
    assert [doc.job_id for doc in (await reader.list(Filters(state="queued"), limit=5)).jobs] == ["j_1"]
    found = (await reader.find("r_1")).run
    assert found is not None
    assert found.counts == {"queued": 1}
    depths = await reader.depths(NOW + 70)
    assert (depths["medium"].waiting, depths["medium"].delayed, depths["medium"].oldest) == (1, 0, NOW + 60)


async def test_lists(store: Store) -> None:
    stream = made(30, runs=3)
    projection, reader = Projection(store), Reader(store)
    await projection.open(state_of(stream))
    await feed(projection, stream)

    async def ids(limit: int = 1000, offset: int = 0, **filters: Any) -> list[str]:
        listed = await reader.list(Filters(**filters), limit=limit, offset=offset)
        return [doc.job_id for doc in listed.jobs]

    newest_first = [f"j_{n:03}" for n in reversed(range(30))]
    assert await ids() == newest_first
    assert await ids(limit=3, offset=2) == newest_first[2:5]
    assert await ids(state="failed") == [i for i in newest_first if int(i[2:]) % 5 == 0]
    assert await ids(org_id="acme", state="failed") == ["j_025", "j_015", "j_005"]
    assert await ids(org_id="acme", state="failed", limit=1, offset=1) == ["j_015"]
    assert await ids(org_id="acme", app_version_id="v1", run_id="r_1") == [
        "j_025",
        "j_019",
        "j_013",
        "j_007",
        "j_001",
    ]
    assert await ids(run_id="r_2", limit=2) == ["j_029", "j_026"]
    assert await ids(org_id="nobody") == await ids(state="running") == await ids(offset=30) == []
    page = await reader.list(Filters(org_id="acme"), limit=10, offset=5)
    assert (page.total, page.more) == (15, False)
    page = await reader.list(Filters(org_id="acme", state="passed"), limit=12)
    assert (page.total, page.more, len(page.jobs)) == (12, False, 12)


async def test_a_late_word_of_a_job_that_left_the_memory(store: Store) -> None:
    stream = made(5)
    late = StoredEvent(Progress(**said(Ids("other", "r_0", "j_000", "v0")), message="late"), 100, NOW)
    projection = Projection(store, cached=1)
    await projection.open(state_of([*stream, late]))
    await feed(projection, [*stream, late], size=3)
    assert await dump(store) == await built(store, [*stream, late])


async def test_a_store_that_went_away(valkey_server: ValkeyServer) -> None:
    async with open_store(valkey_server.url) as store:
        projection = Projection(store)
        stream = made(3)
        await projection.open(state_of(stream))
        staged = await projection.stage(stream[:6], 6, NOW, NOW)
        valkey_server.kill()
        with pytest.raises(StoreUnavailableError):
            await projection.commit(staged)
        with pytest.raises(StoreUnavailableError):
            await Reader(store).find("j_001")
        await valkey_server.start()
        with pytest.raises(OutdatedError):
            await projection.commit(staged)
        await projection.open(state_of(stream))
        await feed(projection, stream)
        assert await dump(store) == await built(store, stream)


async def test_one_job_in_two_organisations(store: Store) -> None:
    mine, other = Ids(), Ids(org_id="other")
    stream = [
        StoredEvent(queued(mine), 1, NOW),
        StoredEvent(queued(other), 2, NOW),
        StoredEvent(started(other), 3, NOW),
    ]
    projection = Projection(store)
    await projection.open(state_of(stream))
    await feed(projection, stream)
    found = await Reader(store).find("j_1")
    assert found.job is not None
    assert (found.job.org_id, found.job.state) == ("acme", "queued")
