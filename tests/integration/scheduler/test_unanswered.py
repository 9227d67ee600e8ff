"""What a cluster does not answer while a stream has no leader ends no reign, and delays the next one little."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from bus_schemas import streams, subjects
from bus_schemas.jobs import JobMessage
from qgjob.bus import kv
from qgjob.bus.chain import end_unclaimed
from qgjob.bus.connect import Bus
from qgjob.bus.follow import StreamMessage, follow
from qgjob.bus.requester import NoRespondersError, RequestTimeoutError
from qgjob.bus.topology import ensure_topology, missing_streams, stream_state
from qgjob.scheduler import reign
from qgjob.scheduler.leadership import recovery
from qgjob.scheduler.leadership.recovery import QUEUED_THROUGH_KEY, recover
from tests.support.pipeline import overview
from tests.support.runs import planned, submit
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from nats.aio.msg import Msg


async def end_one(bus: Bus, message: JobMessage) -> None:
    assert await end_unclaimed(bus, message, "errored", "lost", "It is gone.", now=time.time()) is None


async def test_what_streams_there_are_cannot_be_said(
    nats_server: NatsServer,
    valkey_server: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = 0

    async def late(bus: Bus) -> list[str]:
        nonlocal asked
        asked += 1
        if 1 < asked <= 3:  # after the one before the reign
            raise RequestTimeoutError("No answer from $JS.API.STREAM.NAMES in time.")
        return await missing_streams(bus)

    monkeypatch.setattr(reign, "missing_streams", late)
    monkeypatch.setattr(reign, "_STREAMS_EVERY_S", 0.05)
    async with scheduling(nats_server, valkey_server):
        await wait_for(lambda: asked > 4, 20, "five looks")
    assert not [record for record in caplog.records if "the reign of" in record.message]


async def test_up_to_where_jobs_were_announced_cannot_be_kept(
    bus: Bus,
    nats_server: NatsServer,
    valkey_server: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put, refused = kv.put, 0

    async def late(bus: Bus, bucket: str, key: str, value: bytes, **more: Any) -> int:
        nonlocal refused
        if key == QUEUED_THROUGH_KEY and refused < 2:
            refused += 1
            raise NoRespondersError("Nobody answers now.")
        return await put(bus, bucket, key, value, **more)

    async def kept() -> bool:
        return await kv.get(bus, streams.SETTINGS_BUCKET, QUEUED_THROUGH_KEY) is not None

    monkeypatch.setattr(kv, "put", late)
    monkeypatch.setattr(reign, "_WATERMARK_EVERY_S", 0.05)
    async with scheduling(nats_server, valkey_server):
        await submit(bus, planned(1, runner="noop"))
        await wait_for(kept, 20, "the place up to which jobs were announced")
    assert refused == 2
    assert not [record for record in caplog.records if "the reign of" in record.message]


async def test_a_stream_that_was_asked_for_in_vain_is_asked_for_again_soon(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = bus.requests.request
    lost: set[str] = set()

    async def unanswered(subject: str, *args: Any, **more: Any) -> Msg:
        if "STREAM.INFO" in subject and subject not in lost:
            lost.add(subject)
            await asyncio.sleep(more["timeout"])  # another leader may be there since, and knows nothing of it
            raise RequestTimeoutError(f"No answer from {subject} in time.")
        return await request(subject, *args, **more)

    monkeypatch.setattr(bus.requests, "request", unanswered)
    await asyncio.wait_for(ensure_topology(bus), 10)
    assert lost


async def test_a_slow_answer_counts_although_it_was_asked_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes longer than that for each is slow, not gone."""
    request, asked, all_asked = bus.requests.request, 0, asyncio.Event()

    async def slow(subject: str, *args: Any, **more: Any) -> Msg:
        nonlocal asked
        asked += 1
        if asked == 3:
            all_asked.set()
        if asked > 1:
            await asyncio.Event().wait()
        await all_asked.wait()
        return await request(subject, *args, **more)

    monkeypatch.setattr(bus.requests, "request", slow)
    await asyncio.wait_for(stream_state(bus, streams.JOBS), 10)
    assert asked >= 3  # the answer itself may take a while, too


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_recovery_asks_again_soon_whatever_was_lost_of_it(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, carried_out: bool
) -> None:
    """A question to a stream that elects its leader, or the answer of the leader that is gone."""
    await submit(bus, planned(1, runner="noop"))
    await recover(bus, 1)  # leaves what the next one has to clear away
    request = bus.requests.request
    lost: set[str] = set()

    async def unanswered(subject: str, *args: Any, **more: Any) -> Msg:
        if "DIRECT.GET" not in subject and subject not in lost:
            lost.add(subject)
            if carried_out:
                await request(subject, *args, **more)
            if more["timeout"] > 1:  # another leader may be there since
                await asyncio.sleep(more["timeout"])
            raise RequestTimeoutError(f"No answer from {subject} in time.")
        return await request(subject, *args, **more)

    monkeypatch.setattr(bus.requests, "request", unanswered)
    monkeypatch.setattr("qgjob.bus.topology.ASK_EVERY_S", 0.1)
    monkeypatch.setattr("qgjob.bus.topology._LOOK_S", 0.1)
    found = await asyncio.wait_for(recover(bus, 2), 10)
    assert found.jobs_horizon
    assert len(lost) > 8
    stored = await kv.get_last(bus, streams.WORK, subjects.WORK_FENCE)
    assert stored is not None
    assert stored.seq == found.fence


async def test_a_reigns_own_consumers_are_made_anew_where_nobody_leads_them(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the server was to do so that the cluster has just lost."""
    request = bus.requests.request
    leaderless: set[str] = set()
    made_anew: set[str] = set()

    async def unled(subject: str, *args: Any, **more: Any) -> Msg:
        words = subject.split(".")
        call, name = ".".join(words[2:4]), words[5] if len(words) > 5 else ""
        if call == "CONSUMER.CREATE" and name not in made_anew:
            leaderless.add(name)
            await request(subject, *args, **more)
        if call == "CONSUMER.DELETE" and name in leaderless:
            made_anew.add(name)
            leaderless.discard(name)
        if call.startswith("CONSUMER") and name in leaderless:
            raise RequestTimeoutError(f"No answer from {subject} in time.")
        return await request(subject, *args, **more)

    monkeypatch.setattr(bus.requests, "request", unled)
    monkeypatch.setattr("qgjob.bus.connect.Bus.clustered", True)
    await asyncio.wait_for(recover(bus, 1), 10)
    assert made_anew == {"chains_1", "intake_1_1"}


async def test_a_reign_begins_though_nobody_leads_the_consumer_of_the_one_before(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be without a leader for as long as a server of the cluster is away."""
    await submit(bus, planned(1, runner="noop"))
    assert (await recover(bus, 1)).chains_counted_through == 0
    await end_one(bus, JobMessage(spec=planned(1, runner="noop").specs[0]))
    request = bus.requests.request
    once: set[str] = set()

    async def unavailable(subject: str, *args: Any, **more: Any) -> Msg:
        answer = await request(subject, *args, **more)
        if "CONSUMER.INFO" in subject or (subject.startswith("$JS.API.CONSUMER") and subject not in once):
            once.add(subject)
            answer.data = b'{"error": {"code": 503, "err_code": 10008, "description": "unavailable"}}'
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(bus.requests, "request", unavailable)
        patch.setattr("qgjob.bus.topology.ASK_EVERY_S", 0.1)
        patch.setattr("qgjob.bus.topology._SOON_S", 0.1)
        patch.setattr("qgjob.bus.topology._LOOK_S", 0.01)
        second = await recover(bus, 2)
    assert second.chains == "chains_2"
    assert second.chains_counted_through == second.chains_horizon > 0
    await end_one(bus, JobMessage(spec=planned(1, runner="noop").specs[0]))
    third = await recover(bus, 3)
    assert third.chains_counted_through == second.chains_counted_through, "the second read none of it"
    assert third.chains_horizon > third.chains_counted_through, "nobody heard what came since"


async def test_ends_that_a_former_reign_heard_count_once_though_its_place_is_unknown(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(2, runner="noop")

    async def kept(position: int) -> bool:
        """Whether an outcome is in the history: all that ended before was counted by then."""
        subject = subjects.history(run.org_id, f"t{position}.py")
        return await kv.get_last(bus, streams.HISTORY, subject) is not None

    async def led() -> bool:
        seen = await overview(bus)
        return seen is not None and seen.leader is not None

    async def unknown(*_: object) -> None:
        return None

    async with scheduling(nats_server, valkey_server):
        await wait_for(led, 20, "a reign")
        await submit(bus, run)
        await end_one(bus, JobMessage(spec=run.specs[0]))
        await wait_for(lambda: kept(0), 20, "the first outcome")
    monkeypatch.setattr(recovery, "consumer_info", unknown)
    async with scheduling(nats_server, valkey_server):
        await wait_for(led, 20, "the next reign")
        await end_one(bus, JobMessage(spec=run.specs[1]))
        await wait_for(lambda: kept(1), 20, "the second outcome")
        seen = await overview(bus)
        assert seen is not None
        assert seen.ended == {"errored": 1}
        assert (await stream_state(bus, streams.HISTORY))["messages"] == 2


async def test_who_follows_a_stream_does_not_wait_for_a_consumer_on_a_server_that_is_gone(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has one copy, on any server: on one that is gone it answers nobody until that is back."""
    await kv.put(bus, streams.SETTINGS_BUCKET, "key", b"value")
    request = bus.requests.request
    created, deleted = 0, asyncio.Event()

    async def placed_badly(subject: str, *args: Any, **more: Any) -> Msg:
        nonlocal created
        if "CONSUMER.CREATE" in subject:
            created += 1
            if not deleted.is_set():
                await asyncio.sleep(more["timeout"])
                raise RequestTimeoutError(f"No answer from {subject} in time.")
        if "CONSUMER.DELETE" in subject:
            deleted.set()
        return await request(subject, *args, **more)

    monkeypatch.setattr(bus.requests, "request", placed_badly)
    monkeypatch.setattr("qgjob.bus.connect.Bus.clustered", True)
    async with asyncio.timeout(10):
        batches = follow(bus, f"KV_{streams.SETTINGS_BUCKET}", ["$KV.>"])
        async with contextlib.aclosing(cast("AsyncGenerator[list[StreamMessage]]", batches)):
            assert await anext(batches)
    assert created >= 2
    assert deleted.is_set()
