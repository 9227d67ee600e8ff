"""An agent and a scheduler of different releases: older messages are read, newer ones get a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bus_schemas import streams, subjects
from bus_schemas.agents import Binding, GroupRef, Hello, SlotNext, SlotStatus
from bus_schemas.base import SCHEMA_VERSION
from bus_schemas.jobs import JobMessage, capability_of
from bus_schemas.lab import HoldOrder
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import publish_each
from qgjob.client.requests import query
from tests.support.pipeline import EventRecorder, idle_slots, overview, system
from tests.support.runs import planned
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg


async def only_slot(bus: Bus) -> SlotStatus:
    (agent,) = await query.agents(bus)
    (slot,) = agent.slots
    return slot


async def quarantined(bus: Bus, note: str) -> bool:
    slot = await only_slot(bus)
    return slot.state == "quarantined" and note in (slot.note or "")


@pytest.mark.parametrize(
    ("schema", "advice"), [(SCHEMA_VERSION + 1, "upgrade the scheduler"), (0, "upgrade the agent")]
)
async def test_an_agent_of_a_release_that_is_too_far_away_is_told_so_and_gets_no_work(
    tmp_path: Path, schema: int, advice: str
) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        orders: list[HoldOrder] = []

        async def hear(msg: Msg) -> None:
            orders.append(HoldOrder.decode(msg.data))

        await bus.nc.subscribe(subjects.agent_verb("other", "hold"), cb=hear)
        report = json.loads(SlotNext(agent="other", slot="s0", state="idle", driver="none").encode())

        async def registers(schema: int, **more: object) -> None:
            payload = {**report, "v": max(1, schema), "schema_version": schema, **more}
            await bus.nc.publish(subjects.slot_next("other", "s0"), json.dumps(payload).encode())

        await registers(schema, added_in_a_later_release=True)
        hold = await wait_for(lambda: orders[-1].hold if orders else None, 30, "the agent to be told")
        assert hold is not None
        assert (hold.kind, hold.by) == ("quarantined", "scheduler")
        assert advice in (hold.note or "")
        seen = await overview(bus)
        assert seen is not None
        assert [hold.name for hold in seen.holds] == ["other/s0"]
        assert seen.slots_idle == 1, "the agent that fits goes on"
        await registers(SCHEMA_VERSION, added_in_a_later_release=True, hold=hold.model_dump())
        await idle_slots(bus, 2)
        await wait_for(lambda: orders[-1].hold is None, 30, "the agent to be let go after its upgrade")


async def test_an_agent_that_cannot_read_its_scheduler_says_so_until_another_leads(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        seen = await overview(bus)
        assert seen is not None
        assert seen.leader is not None
        group = GroupRef(capability="any", org_id="acme", app_version_id="v1")
        epoch = seen.leader.epoch
        binding = Binding(agent="local", slot="s0", epoch=epoch, group=group, consumer="g", ack_wait_s=3)
        newer = {**json.loads(binding.encode()), "v": SCHEMA_VERSION + 1}
        await bus.nc.publish(subjects.agent_verb("local", "bind"), json.dumps(newer).encode())
        await wait_for(lambda: quarantined(bus, "too old for the scheduler"), 30, "the slot to say that")
        await bus.nc.publish(subjects.HELLO, Hello(epoch=epoch).encode())
        await idle_slots(bus, 1)


async def test_a_job_of_a_newer_release_is_given_back_and_the_slot_says_why(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        old = planned(1, runner="noop").specs[0]
        message = json.loads(JobMessage(spec=old).encode())
        del message["v"]  # as the first release wrote it
        async with EventRecorder().watching(bus) as witness:
            subject = subjects.job("medium", old.org_id, old.job_id)
            await publish_each(bus, [OutMsg(subject, json.dumps(message).encode())])
            await wait_for(lambda: witness.ends[old.job_id] == 1, 30, "the end of an older message's job")
        new = planned(1, runner="noop").specs[0]
        newer = {**message, "v": SCHEMA_VERSION + 1, "spec": {**message["spec"], "job_id": new.job_id}}
        capability = capability_of(new.requires)
        work = subjects.work(capability, new.org_id, new.app_version_id, new.job_id)
        await publish_each(bus, [OutMsg(work, json.dumps(newer).encode())])

        await wait_for(lambda: quarantined(bus, "too old for the jobs"), 30, "the slot to say that")
        info = await bus.requests.api(f"STREAM.INFO.{streams.DEAD}")
        assert info["state"]["messages"] == 0, "nothing is wrong with the job"
        info = await bus.requests.api(f"STREAM.INFO.{streams.WORK}", {"subjects_filter": work})
        assert info["state"]["subjects"] == {work: 1}, "it waits for an agent that can read it"
