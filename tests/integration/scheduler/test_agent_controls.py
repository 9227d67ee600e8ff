"""Slots that operators hold, and explain, on a whole system."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from bus_schemas import subjects
from bus_schemas.agents import SlotNext, SlotStatus
from bus_schemas.events import Ended, Released, Started
from bus_schemas.explain import ExplainAnswer
from bus_schemas.lab import HoldOrder
from qgjob.bus.connect import Bus
from qgjob.bus.publisher import Publisher
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.errors import NotFoundError, RefusedError
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.dispatch.dispatcher import Dispatcher
from qgjob.scheduler.dispatch.group_consumers import GroupConsumers
from qgjob.scheduler.dispatch.holds import Holds
from qgjob.scheduler.dispatch.lab import Lab
from qgjob.scheduler.dispatch.slots import SILENT_S, Slots
from qgjob.scheduler.leadership.fence import Fence
from tests.support.clock import ManualClock
from tests.support.faulty_runners import PLUGINS
from tests.support.pipeline import EventRecorder, counts_reached, idle_slots, overview, slot_named, system
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

SLOT = "local-1/s0"
ONLY = "local/s0"
"""Of a system with a single agent."""


def client_of(bus: Bus) -> Client:
    return Client(bus, SystemClock())


async def shows(client: Client, name: str, state: str, *, instance: int | None = None) -> SlotStatus:
    """Wait until a slot's heartbeat shows that state, of another process than `instance`."""

    async def so() -> SlotStatus:
        agents = await client.agents()
        agent = next(a for a in agents if a.agent == name.rpartition("/")[0])
        assert agent.pid != instance
        found = await slot_named(client, name)
        assert found.state == state, found
        return found

    return await wait_for(so, 30, f"{name} {state}")


def starts_at(witness: EventRecorder, slot: str) -> list[str]:
    events = [event for events in witness.events.values() for event in events]
    return [e.job_id for e in events if isinstance(e, Started) and f"{e.agent}/{e.slot}" == slot]


async def test_a_pause_lets_the_running_job_finish_and_outlives_agent_and_leader(tmp_path: Path) -> None:
    options: dict[str, Any] = {"agents": 2, "slots": 1, "plugins": PLUGINS}
    go_on = tmp_path / "go on"
    async with system(tmp_path, **options) as (running, bus), EventRecorder().watching(bus) as witness:
        client = client_of(bus)
        first = planned(2, runner="until", argv=(str(go_on),))
        await submit(bus, first)
        await wait_for(lambda: len(witness.started()) == 2, 20, "both slots busy")
        answer = await client.hold("pause", SLOT, note="new cable", for_s=3600, by="ann")
        assert answer.slots == (SLOT,)
        assert answer.running == {SLOT: starts_at(witness, SLOT)[0]}
        more = planned(6, runner="noop")
        await submit(bus, more)
        go_on.touch()
        await counts_reached(bus, first.run_id, {"passed": 2})
        await counts_reached(bus, more.run_id, {"passed": 6})
        assert len(starts_at(witness, SLOT)) == 1

        status = await shows(client, SLOT, "paused")
        assert status.hold is not None
        assert (status.hold.by, status.hold.note) == ("ann", "new cable")
        assert status.hold.until is not None

        old = running.pids()["agent-local-1"]
        for victim in ("agent-local-1", next(n for n in running.pids() if n.startswith("scheduler"))):
            os.kill(running.pids()[victim], signal.SIGKILL)
        await shows(client, SLOT, "paused", instance=old)
        still = planned(4, runner="noop")
        await submit(bus, still)
        await counts_reached(bus, still.run_id, {"passed": 4})
        assert len(starts_at(witness, SLOT)) == 1

        assert (await client.hold("resume", SLOT)).changed
        assert not (await client.hold("resume", SLOT)).changed
        await idle_slots(bus, 2)


async def test_a_borrowed_slot_comes_back_by_itself_and_is_not_borrowed_twice(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=2) as (_, bus):
        client = client_of(bus)
        await client.hold("reserve", ONLY, for_s=600, by="ann")
        await shows(client, ONLY, "reserved")
        with pytest.raises(RefusedError, match="reserved by ann already"):
            await client.hold("reserve", ONLY, for_s=600, by="bob")
        with pytest.raises(RefusedError, match="2 slots"):
            await client.hold("reserve", "local", for_s=600, by="bob")
        await client.hold("reserve", ONLY, for_s=1, by="ann")
        await idle_slots(bus, 2)
        assert (await shows(client, ONLY, "idle")).hold is None
        with pytest.raises(NotFoundError):
            await client.hold("pause", "nobody/s0")


async def test_an_agent_is_drained_as_a_whole(tmp_path: Path) -> None:
    async with system(tmp_path, agents=2, slots=2) as (_, bus), EventRecorder().watching(bus) as witness:
        client = client_of(bus)
        await client.hold("drain", "local-1", note="to be taken away", by="ann")
        run = planned(8, runner="noop")
        await submit(bus, run)
        await counts_reached(bus, run.run_id, {"passed": 8})
        assert not starts_at(witness, "local-1/s0")
        assert not starts_at(witness, "local-1/s1")
        await shows(client, "local-1/s1", "draining")
        with pytest.raises(RefusedError, match="as a whole"):
            await client.hold("resume", "local-1/s1")
        assert [hold.name for hold in await client.holds()] == ["local-1"]
        seen = await overview(bus)
        assert seen is not None
        assert (seen.slots_held, seen.slots_idle) == (2, 2)
        assert set((await client.hold("resume", "local-1")).slots) == {"local-1/s0", "local-1/s1"}
        await idle_slots(bus, 4)
        await client.hold("pause", "local-1/s1")
        freed = await client.hold("resume", "local-1")
        assert (freed.changed, freed.slots) == (True, ("local-1/s1",)), "the other was not held"


async def test_an_agent_that_stops_gets_nothing_more(tmp_path: Path) -> None:
    options: dict[str, Any] = {"agents": 1, "slots": 2, "plugins": PLUGINS}
    go_on = tmp_path / "go on"
    async with system(tmp_path, **options) as (running, bus), EventRecorder().watching(bus) as witness:
        client = client_of(bus)
        long = planned(1, runner="until", argv=(str(go_on),))
        await submit(bus, long)
        await wait_for(lambda: len(witness.started()) == 1, 20, "a slot busy")
        old = running.pids()["agent-local"]
        os.kill(old, signal.SIGTERM)

        async def none_idle() -> bool:
            seen = await overview(bus)
            assert seen is not None
            return seen.slots_idle == 0

        await wait_for(none_idle, 10, "the idle slot to be out of play")
        run = planned(1, runner="noop")
        await submit(bus, run)

        async def why() -> ExplainAnswer:
            answer = await client.explain(run.specs[0].job_id)
            assert answer.state == "queued", "released to a slot that stops"
            assert "its agent stops" in {row.why for row in answer.slots}
            return answer

        await wait_for(why, 10, "the reason")
        go_on.touch()
        await counts_reached(bus, run.run_id, {"passed": 1})
        await counts_reached(bus, long.run_id, {"passed": 1})


async def test_explain_on_a_whole_system(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus), EventRecorder().watching(bus) as witness:
        client = client_of(bus)
        done = planned(1, runner="noop")
        await submit(bus, done)
        await counts_reached(bus, done.run_id, {"passed": 1})

        def released() -> list[str]:  # which may be told after the end
            events = witness.events[done.specs[0].job_id]
            return [event.because for event in events if isinstance(event, Released) and event.because]

        (because,) = await wait_for(released, 20, "why it went there")
        ended = await client.explain(done.specs[0].job_id)
        assert ended.state == "passed"
        assert ended.attempts[0].slot == ONLY
        assert ended.attempts[0].because == because
        assert because in ended.summary

        long = planned(1, runner="sleep", argv=("30",))
        await submit(bus, long)
        await wait_for(lambda: long.specs[0].job_id in witness.started(), 20, "it runs")

        async def runs() -> bool:
            answer = await client.explain(long.specs[0].job_id)
            assert answer.state == "running"
            return f"It runs on {ONLY}." in answer.summary

        await wait_for(runs, 10, "it to be said to run")
        waiting = planned(3, runner="noop", app="v2")
        impossible = planned(1, runner="noop")
        spec = impossible.specs[0].model_copy(update={"requires": ("android-99",)})
        impossible.specs[0] = spec
        await submit(bus, waiting)
        await submit(bus, impossible)

        async def waits() -> ExplainAnswer:
            return await client.explain(waiting.specs[1].job_id)

        answer = await wait_for(waits, 10, "an answer")
        assert [row.kind for row in answer.slots] == ["busy"]
        assert answer.starts_at is not None
        nothing = await client.explain(spec.job_id)
        assert nothing.summary == "No slot can ever run it: no slot has android-99."
        await client.pause_queue(org_id="bench", note="lunch")
        paused = await client.explain(waiting.specs[1].job_id)
        assert [gate.kind for gate in paused.gates] == ["paused"]
        await client.resume_queue(org_id="bench")
        await client.cancel(long.run_id)
        await counts_reached(bus, waiting.run_id, {"passed": 3})
        with pytest.raises(NotFoundError):
            await client.explain("j_" + "0" * 26)
        ends = [e for e in witness.events[waiting.specs[0].job_id] if isinstance(e, Ended)]
        assert len(ends) == 1


async def test_an_agent_without_a_heartbeat_is_missed_when_its_slots_fall_silent(
    bus: Bus,
) -> None:
    clock = ManualClock(1000.0)
    lab = Lab(clock, lambda _: None, lambda _: None, lambda _: None)

    def ended(entry: Entry, end: Ended) -> None:
        raise AssertionError(f"{entry} ended: {end}")

    consumers = GroupConsumers(bus, clock, 30.0, dict, lambda _: None)
    dispatcher = Dispatcher(
        bus,
        clock,
        1,
        Fence(0),
        Backlog(),
        Publisher(bus),
        30.0,
        ended,
        lambda _: None,
        consumers,
        lambda _: None,
    )
    agents: dict[str, set[str]] = {}
    holds = Holds(bus, clock, 1, lab.state, lab.feed, agents)
    listening = asyncio.create_task(Slots(bus, clock, lab, dispatcher, holds, agents).run())
    try:

        async def heard() -> bool:
            report = SlotNext(agent="mute", slot="s0", state="idle", driver="none")
            await bus.nc.publish(subjects.slot_next("mute", "s0"), report.encode())
            return "mute/s0" in lab.state.slots

        await wait_for(heard, 10, "the slot to be heard")
        await bus.requests.round_trip(timeout=5)  # all reports have come
        clock.advance(SILENT_S + 1)
        await wait_for(lambda: "mute/s0" not in lab.state.slots, 20, "the slot to be missed")
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_a_slot_that_is_told_again_of_its_hold_is_held_since_the_first_time(tmp_path: Path) -> None:
    async with system(tmp_path, agents=1, slots=1) as (_, bus):
        client = client_of(bus)
        await client.hold("drain", ONLY, by="ann")
        first = await shows(client, ONLY, "draining")
        order = HoldOrder(agent="local", slot="s0", epoch=1, hold=first.hold)
        told_at = time.time()
        await bus.nc.publish(subjects.agent_verb("local", "hold"), order.encode())

        async def heard() -> bool:
            (agent,) = await client.agents()
            return agent.at > told_at

        await wait_for(heard, 30, "a later heartbeat")
        assert (await slot_named(client, ONLY)).since == first.since
