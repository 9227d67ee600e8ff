"""What is lost, late or stale must neither hang a job nor run it twice; one bad message stops nobody."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from agent.output.logs import LogShipper
from bus_schemas import streams, subjects
from bus_schemas.events import Ended
from bus_schemas.jobs import JobMessage, capability_of
from bus_schemas.logs import LogChunk
from qgjob.bus import kv
from qgjob.bus.chain import chain_subject, end_unclaimed, read_chain
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.direct import read_all
from qgjob.bus.follow import follow
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import publish_each
from qgjob.bus.pull import ConsumerGoneError, Puller
from qgjob.bus.topology import (
    consumer_names,
    create_consumer,
    delete_consumer,
    list_subjects,
)
from qgjob.errors import RefusedError
from qgjob.scheduler.leadership.recovery import QUEUED_THROUGH_KEY, recover
from tests.support.pipeline import EventRecorder, counts_reached, system
from tests.support.runs import planned, submit
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


def message_of(count: int = 1) -> JobMessage:
    return JobMessage(spec=planned(count, runner="noop").specs[0])


def work_subject(message: JobMessage) -> str:
    spec = message.spec
    return subjects.work(capability_of(spec.requires), spec.org_id, spec.app_version_id, spec.job_id)


async def released_work(bus: Bus) -> set[str]:
    return set(await list_subjects(bus, streams.WORK, subjects.WORK_ALL)) - {subjects.WORK_FENCE}


async def test_work_that_ended_and_was_never_acknowledged_does_not_outlive_its_end(tmp_path: Path) -> None:
    """Its agent died between end and ack and nobody pulls there again: a day later it would run once more."""
    message = message_of()
    async with system(tmp_path, agents=0) as (_, bus):
        assert await end_unclaimed(bus, message, "cancelled", "cancelled", "", now=time.time()) is None
        await bus.requests.publish(work_subject(message), message.encode())

        async def gone() -> bool:
            return work_subject(message) not in await released_work(bus)

        await wait_for(gone, 60, "the reaper to delete it")
        await bus.requests.publish(work_subject(message), message.encode())
        inheritance = await recover(bus, 10**9)
        assert not inheritance.released
        assert await gone(), "a recovery leaves it there"


async def test_a_consumer_that_is_gone_is_made_again(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=2) as (_, bus), EventRecorder().watching(bus) as witness:
        run = planned(12, runner="sleep", argv=("0.3",))
        await submit(bus, run)
        await wait_for(lambda: len(witness.ends) >= 2, 30, "two ends")
        for name in await consumer_names(bus, streams.WORK):
            await delete_consumer(bus, streams.WORK, name)
        await counts_reached(bus, run.run_id, {"passed": 12})
        assert set(witness.ends.values()) == {1}


async def test_a_group_that_nobody_uses_loses_its_consumer_and_nothing_else(bus: Bus) -> None:
    message = message_of()
    spec = message.spec
    config = streams.group_consumer("any", spec.org_id, spec.app_version_id, 1.0)
    assert config["inactive_threshold"]
    config["inactive_threshold"] = streams.SECOND_NS // 2
    await create_consumer(bus, streams.WORK, config)
    await bus.requests.publish(work_subject(message), message.encode())

    async def consumers() -> int:
        return len(await consumer_names(bus, streams.WORK))

    async def none() -> bool:
        return await consumers() == 0

    await wait_for(none, 20, "the consumer to go")
    config["inactive_threshold"] = 2 * streams.SECOND_NS
    await create_consumer(bus, streams.WORK, config)
    async with Puller(bus, streams.WORK, config["name"]) as puller:
        await puller.request_one()
        msg = await asyncio.wait_for(puller.next(), 20)
        for _ in range(6):  # a long job asks for nothing, but keeps its lease
            await asyncio.sleep(0.4)
            await bus.requests.request(msg.reply, b"+WPI")
        assert await consumers() == 1


async def test_rubbish_where_the_leader_keeps_its_own_does_not_stop_it(tmp_path: Path) -> None:
    async with system(tmp_path, schedulers=1, agents=1, slots=1) as (_, bus):
        for data in (b"rubbish", b"[]", b'{"epoch": "x"}'):
            await bus.requests.publish(subjects.WORK_FENCE, data)  # which ends the reign
            await kv.put(bus, streams.SETTINGS_BUCKET, QUEUED_THROUGH_KEY, data)
        run = planned(3, runner="noop")
        for spec in run.specs:
            # Nobody claimed: what stands on the chain is no link at all.
            await bus.requests.publish(chain_subject(JobMessage(spec=spec)), b"rubbish")
        await submit(bus, run)
        await counts_reached(bus, run.run_id, {"passed": 3})


async def test_a_chain_of_rubbish_is_nobodys(bus: Bus) -> None:
    message = message_of()
    ack = await bus.requests.publish(chain_subject(message), b"rubbish")
    assert await read_chain(bus, chain_subject(message)) == (None, ack.seq)
    assert await end_unclaimed(bus, message, "cancelled", "cancelled", "", now=1.0) is None
    link, _ = await read_chain(bus, chain_subject(message))
    assert isinstance(link, Ended)


async def test_a_job_as_large_as_a_message_is_set_aside_and_the_leader_lives(tmp_path: Path) -> None:
    """With the fence's header its release would be too large, and the server would hang up on the leader."""
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        spec = planned(1, runner="noop").specs[0]
        size = bus.max_payload
        rest = size - 100 - len(JobMessage(spec=spec).encode())
        env = {f"V{n}": "x" * 30_000 for n in range(rest // 30_020)}
        data = JobMessage(spec=spec.model_copy(update={"env": env})).encode()
        data = data[:-1] + b" " * (size - 10 - len(data)) + b"}"
        assert len(data) > size - streams.JOB_ROOM_BYTES
        subject = subjects.job("medium", spec.org_id, spec.job_id)
        await bus.nc.publish(subject, data)
        run = planned(5, runner="noop")
        await submit(bus, run)
        await counts_reached(bus, run.run_id, {"passed": 5})

        async def aside() -> bool:
            return [m async for page in read_all(bus, streams.DEAD, subjects.DEAD_ALL) for m in page] != []

        await wait_for(aside, 20, "a dead letter")


async def test_a_message_that_is_too_large_is_refused_before_the_server_hangs_up(
    nats_server: NatsServer,
) -> None:
    async with open_bus(ServerOptions(url=nats_server.url)) as bus:
        for size in (bus.max_payload, bus.max_payload + 1):
            with pytest.raises(RefusedError):
                await bus.requests.publish("x", b"x" * size, headers={"a": "b"})
        assert bus.connected
        assert not bus.reconnects


async def test_an_id_that_two_organisations_use_loses_nobodys_job(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus), EventRecorder().watching(bus) as witness:
        mine = planned(1, runner="sleep", argv=("1",)).specs[0]
        theirs = mine.model_copy(update={"org_id": "other", "run_id": "r_other"})
        await publish_each(
            bus,
            [
                OutMsg(subjects.job("medium", s.org_id, s.job_id), JobMessage(spec=s).encode())
                for s in (mine, theirs)
            ],
        )
        await wait_for(lambda: witness.ends[mine.job_id] == 1, 30, "the first one's end")
        assert {e.org_id for e in witness.events[mine.job_id] if e.kind == "ended"} == {mine.org_id}
        letters = [m async for page in read_all(bus, streams.DEAD, subjects.DEAD_ALL) for m in page]
        assert len(letters) == 1, "the other is told, not dropped"


async def test_a_log_stream_that_refuses_delays_neither_job_nor_result(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.output.logs._PATIENCE_S", 0.5)
    info = await bus.requests.api(f"STREAM.INFO.{streams.LOGS}")
    small = {**info["config"], "max_msg_size": 10}
    await bus.requests.api(f"STREAM.UPDATE.{streams.LOGS}", small)
    message = message_of()
    shipper = LogShipper(bus, message)
    async with asyncio.timeout(20):
        for number in range(60):
            if wait := shipper.write("stdout" if number % 2 else "stderr", b"x" * 65_536):
                await wait
        await bus.requests.api(f"STREAM.UPDATE.{streams.LOGS}", info["config"])
        await shipper.close(always=True)
    subject = subjects.logs(message.spec.org_id, message.spec.job_id, 1)
    last = await kv.get_last(bus, streams.LOGS, subject)
    assert last is not None
    chunk = LogChunk.decode(last.data)
    assert chunk.eof
    assert chunk.dropped > 0, "what is missing is said aloud"


@pytest.mark.parametrize("steps", range(6))
async def test_a_cancel_that_meets_the_end_of_a_pull_is_not_lost(bus: Bus, steps: int) -> None:
    """As when the server, back from a pause of ours, says in one breath what is gone: the leader stood still."""
    inside, gone = asyncio.Event(), asyncio.Event()

    async def reader(bus: Bus) -> None:
        try:
            async with Puller(bus, streams.WORK, "none"):
                inside.set()
                await gone.wait()
                raise ConsumerGoneError("the consumer is gone")
        except ConsumerGoneError:
            await asyncio.Event().wait()  # as whoever tries again for as long as it is not cancelled

    task = asyncio.create_task(reader(bus))
    await inside.wait()
    gone.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)
    assert done == {task}
    assert task.cancelled()


async def test_a_follower_ends_whenever_it_is_cancelled(bus: Bus) -> None:
    """Its consumer is deleted, and some moments later it is cancelled: each time some more of them."""
    bucket = f"KV_{streams.SETTINGS_BUCKET}"

    async def reader(bus: Bus) -> None:
        async for _ in follow(bus, bucket, [f"$KV.{streams.SETTINGS_BUCKET}.>"]):
            pass

    for steps in range(0, 60, 3):
        task = asyncio.create_task(reader(bus))
        (name,) = await wait_for(lambda: consumer_names(bus, bucket), what="its consumer")
        await delete_consumer(bus, bucket, name)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done == {task}, steps
        assert task.cancelled(), steps
        for left in await consumer_names(bus, bucket):
            await delete_consumer(bus, bucket, left)


async def test_a_connection_that_is_just_being_lost_is_closed_without_a_word(nats_server: NatsServer):
    async with open_bus(ServerOptions(nats_server.url)) as bus:
        # As the library's task that reconnects waits for the old connection when it is cancelled.
        transport: Any = getattr(bus.nc, "_transport")  # noqa: B009
        waiting = asyncio.ensure_future(transport.wait_closed())
        await asyncio.sleep(0)
        waiting.cancel()
    assert bus.nc.is_closed
