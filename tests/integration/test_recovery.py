"""Kill anything with SIGKILL while jobs run: nothing is lost, and each job has one result."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bus_schemas.queries import LeaderView
from qgjob.bus.connect import Bus
from qgjob.local.system import LocalSystem
from tests.support.pipeline import EventRecorder, counts_reached, idle_slots, overview, system
from tests.support.runs import planned, submit
from tests.support.standstill import standing_still
from tests.support.wait import wait_for

JOBS = 200


async def work(bus: Bus) -> tuple[list[str], set[str]]:
    """200 jobs of four versions, all submitted; returns their runs and their ids."""
    runs = [planned(JOBS // 4, runner="sleep", app=f"v{version}", argv=("0.05",)) for version in range(4)]
    for run in runs:
        await submit(bus, run)
    return [run.run_id for run in runs], {spec.job_id for run in runs for spec in run.specs}


async def check(
    bus: Bus, runs: list[str], witness: EventRecorder, jobs: set[str], timeout: float = 90
) -> None:
    await wait_for(lambda: len(witness.ends) >= JOBS, timeout, f"{JOBS} ends")
    for run in runs:
        await counts_reached(bus, run, {"passed": JOBS // 4})
    assert set(witness.ends) == jobs
    assert set(witness.ends.values()) == {1}, "a job ended twice"

    async def nothing_left() -> bool:
        seen = await overview(bus)
        assert seen is not None
        assert (seen.waiting, seen.running) == (0, 0), seen
        return True

    await wait_for(nothing_left, 30, "an empty lab")


async def some_ended(witness: EventRecorder, count: int) -> None:
    await wait_for(lambda: len(witness.ends) >= count, 60, f"{count} ends")


@pytest.mark.parametrize("victim", ["agent-local-1", "leader", "nats", "valkey"])
async def test_kill_one(tmp_path: Path, victim: str) -> None:
    async with system(tmp_path, schedulers=2) as (running, bus), EventRecorder().watching(bus) as witness:
        runs, jobs = await work(bus)
        await some_ended(witness, 40)
        pid = await leader(running, bus) if victim == "leader" else running.pids()[victim]
        os.kill(pid, signal.SIGKILL)
        await check(bus, runs, witness, jobs)


async def test_kill_everything_in_turn(tmp_path: Path) -> None:
    async with system(tmp_path, schedulers=2) as (running, bus), EventRecorder().watching(bus) as witness:
        runs, jobs = await work(bus)
        for share, victim in enumerate(
            ["scheduler-1", "agent-local-2", "nats", "scheduler-2", "agent-local-1"], 1
        ):
            await some_ended(witness, share * JOBS // 8)
            await wait_for(lambda name=victim: name in running.pids(), 20, f"{victim} running")
            os.kill(running.pids()[victim], signal.SIGKILL)
        await check(bus, runs, witness, jobs)


async def test_an_old_leader_woken_by_sigcont_releases_nothing(tmp_path: Path) -> None:
    async with system(tmp_path, schedulers=2) as (running, bus), EventRecorder().watching(bus) as witness:
        runs, jobs = await work(bus)
        await some_ended(witness, 20)
        old = await leader(running, bus)
        epoch = (await reigning(bus)).epoch
        async with standing_still(old):
            await wait_for(lambda: later_epoch(bus, epoch), 30, "another leader")
            await some_ended(witness, 60)
        await check(bus, runs, witness, jobs)
        starts = [job for job in jobs if sum(e.kind == "started" for e in witness.events[job]) > 1]
        assert not starts, "woken, it released jobs again"


async def test_a_stopped_agent_hands_back_and_nothing_fails(tmp_path: Path) -> None:
    async with (
        system(tmp_path, agents=2, agent_args=("--grace", "0.5")) as (running, bus),
        EventRecorder().watching(bus) as witness,
    ):
        run = planned(4, runner="sleep", argv=("4",))
        await submit(bus, run)
        await wait_for(lambda: len(witness.started()) == 4, 20, "four running jobs")
        os.kill(running.pids()["agent-local-1"], signal.SIGTERM)
        await counts_reached(bus, run.run_id, {"passed": 4}, timeout=60)
        assert set(witness.ends.values()) == {1}
        assert all(e.state == "passed" for es in witness.events.values() for e in es if e.kind == "ended")


async def test_the_projection_is_rebuilt_after_a_flush(tmp_path: Path) -> None:
    from redis.asyncio import Redis

    async with system(tmp_path) as (running, bus):
        run = planned(50, runner="noop")
        await submit(bus, run)
        await counts_reached(bus, run.run_id, {"passed": 50})
        assert running.redis_url
        store = Redis.from_url(running.redis_url)
        await store.flushall()
        await store.aclose()
        await counts_reached(bus, run.run_id, {"passed": 50})


async def test_work_goes_on_while_the_store_is_away(tmp_path: Path) -> None:
    async with (
        system(tmp_path) as (running, bus),
        EventRecorder().watching(bus) as witness,
        standing_still(running.pids()["valkey"]),
    ):
        await submit(bus, planned(50, runner="noop"))
        await wait_for(lambda: len(witness.ends) == 50, 20, "fifty ends without a store")


async def test_state_is_kept_between_two_systems_in_one_folder(tmp_path: Path) -> None:
    async with system(tmp_path, slots=1, agents=0) as (_, bus):
        run = planned(10, runner="noop")
        await submit(bus, run)
    async with system(tmp_path, slots=2, agents=1) as (_, bus):
        await counts_reached(bus, run.run_id, {"passed": 10})
        await idle_slots(bus, 2)


async def leader(running: LocalSystem, bus: Bus) -> int:
    """The process that reigns."""
    replica = (await reigning(bus)).replica
    schedulers = {name: pid for name, pid in running.pids().items() if name.startswith("scheduler")}
    return next(pid for pid in schedulers.values() if replica.endswith(f"-{pid}"))


async def reigning(bus: Bus) -> LeaderView:
    """Who reigns, as soon as anybody says so."""

    async def somebody() -> list[LeaderView]:
        seen = await overview(bus)
        return [seen.leader] if seen and seen.leader else []

    return (await wait_for(somebody, 20, "a leader"))[0]


async def later_epoch(bus: Bus, epoch: int) -> bool:
    seen = await overview(bus)
    return seen is not None and seen.leader is not None and seen.leader.epoch > epoch
