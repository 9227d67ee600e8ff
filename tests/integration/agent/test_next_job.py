"""A slot's next job: claimed while the end of the last is recorded; fetched before only if enough is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from agent.attempts.claim import Claim, EndOutcome
from agent.slots import inbox
from agent.slots.held_work import HeldWork
from agent.slots.slot import SlotWorker
from bus_schemas import streams, subjects
from bus_schemas.agents import Binding, GroupRef
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus
from qgjob.bus.follow import stream_message
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import publish_each
from qgjob.bus.pull import Puller
from qgjob.bus.topology import create_consumer
from tests.support.pipeline import EventRecorder
from tests.support.runs import planned
from tests.support.slots import runner_in
from tests.support.wait import wait_for

ACK_WAIT_S = 30.0
APP = "v1"


def bound_to(app: str) -> Binding:
    return Binding(
        agent="a",
        slot="s0",
        epoch=1,
        group=GroupRef(capability="any", org_id="bench", app_version_id=app),
        consumer=streams.group_consumer_name("any", "bench", app),
        ack_wait_s=ACK_WAIT_S,
    )


def noted(folder: Path) -> int:
    return sum(bool(file.read_bytes().partition(b"\n")[0]) for file in (folder / "held").iterdir())


@contextlib.asynccontextmanager
async def working(
    bus: Bus, folder: Path, until: list[str | Path]
) -> AsyncGenerator[tuple[SlotWorker, list[str]]]:
    """A slot that works on jobs one after the other; yields it and their ids.

    They sleep for so many seconds, or until a file is there.
    """
    specs = [
        planned(1, runner="until" if isinstance(each, Path) else "sleep", app=APP, argv=(str(each),)).specs[0]
        for each in until
    ]
    group = streams.group_consumer("any", specs[0].org_id, APP, ACK_WAIT_S)
    await create_consumer(bus, streams.WORK, group)
    for spec in specs:
        subject = subjects.work("any", spec.org_id, APP, spec.job_id)
        await publish_each(bus, [OutMsg(subject, JobMessage(spec=spec).encode())])
    runner = await runner_in(bus, folder, folder / "work")
    held_work = HeldWork(folder / "held")
    slot = SlotWorker(bus, runner.who, runner, lambda: None, held_work=held_work, instance="i")
    slot.bind(bound_to(APP))
    task = asyncio.create_task(slot.run())
    try:
        yield slot, [spec.job_id for spec in specs]
    finally:
        slot.hand_back()
        async with asyncio.timeout(10):
            await task
        await runner.close()


async def test_the_next_job_is_claimed_while_an_end_is_recorded_and_begins_when_it_is(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending: list[str] = []
    gate = asyncio.Event()
    end = Claim.end

    async def slowly(self: Claim, *args: Any, **more: Any) -> EndOutcome:
        ending.append(self.message.spec.job_id)
        if len(ending) > 1:  # the first job installs the build, of which the slot tells before it goes on
            await gate.wait()
        return await end(self, *args, **more)

    monkeypatch.setattr(Claim, "end", slowly)
    witness = EventRecorder()
    async with (
        witness.watching(bus),
        working(bus, tmp_path, ["0", "0", "0"]) as (slot, (first, second, third)),
    ):
        try:
            await wait_for(lambda: third in witness.started(), 10, "the third job to be claimed")
            await bus.requests.round_trip()
            assert ending == [first, second], "the third test ran before the second one's end was recorded"
            assert set(witness.ends) == {first}
            assert slot.busy
        finally:
            gate.set()
        await wait_for(lambda: len(witness.ends) == 3, 10, "all ends")
        await wait_for(lambda: not slot.busy, 10, "the slot to be free")
    assert all(count == 1 for count in witness.ends.values())


async def test_a_busy_slot_leaves_what_waits_to_others(bus: Bus, tmp_path: Path) -> None:
    witness = EventRecorder()
    async with witness.watching(bus), working(bus, tmp_path, ["0", "60", "0"]) as (_, (_, long, third)):
        await wait_for(lambda: long in witness.started(), 10, "the long test to start")
        name = streams.group_consumer_name("any", "bench", APP)
        async with Puller(bus, streams.WORK, name) as other:
            await other.request_one()
            await wait_for(lambda: other.ready, 10, "the third job to be another's")
            (msg,) = other.take()
        assert JobMessage.decode(msg.data).spec.job_id == third
        assert stream_message(msg).delivered == 1
        assert third not in witness.started()


async def test_where_enough_waits_a_busy_slot_fetches_its_next_job(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PREFETCH_KEPT_S", 3600.0)
    never, ask = asyncio.Event(), Puller.request_one

    async def only_until_the_second(self: Puller) -> None:
        if len(witness.started()) >= 2:
            await never.wait()
        await ask(self)

    monkeypatch.setattr(Puller, "request_one", only_until_the_second)
    witness = EventRecorder()
    go_on = tmp_path / "go on"
    async with witness.watching(bus), working(bus, tmp_path, ["0", go_on, "0", "0"]) as (_, jobs):
        try:
            await wait_for(lambda: jobs[1] in witness.started(), 10, "the second test to start")
            await wait_for(lambda: noted(tmp_path) == 2, 10, "the next job to be noted")
            go_on.touch()
            await wait_for(
                lambda: jobs[2] in witness.ends, 10, "the third job, which was not asked for again"
            )
            await wait_for(lambda: noted(tmp_path) == 0, 10, "no note to be left")
            assert jobs[3] not in witness.started(), "the last one is left to who idles first"
        finally:
            never.set()
        await wait_for(lambda: len(witness.ends) == 4, 10, "all ends")
    assert set(witness.ends.values()) == {1}


@pytest.mark.parametrize("why", ["time", "hold", "stop", "bind"])
async def test_what_was_fetched_ahead_is_handed_back(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why != "time":
        monkeypatch.setattr(inbox, "PREFETCH_KEPT_S", 3600.0)
    witness = EventRecorder()
    async with witness.watching(bus), working(bus, tmp_path, ["0", "60", "0", "0"]) as (slot, jobs):
        await wait_for(lambda: jobs[1] in witness.started(), 10, "the long test to start")
        if why != "time":
            await wait_for(lambda: noted(tmp_path) == 2, 10, "the next job to be noted")
        match why:
            case "hold":
                slot.hold("operator", "paused", "enough")
            case "stop":
                slot.stop()
            case "bind":
                slot.bind(bound_to("another"))
            case _:
                pass
        async with Puller(bus, streams.WORK, streams.group_consumer_name("any", "bench", APP)) as other:
            came: dict[str, int] = {}
            while len(came) < 2:
                await other.request_one()
                msg = await other.next()
                came[JobMessage.decode(msg.data).spec.job_id] = stream_message(msg).delivered
        assert came == {jobs[2]: 2, jobs[3]: 1}
        assert jobs[2] not in witness.started()
