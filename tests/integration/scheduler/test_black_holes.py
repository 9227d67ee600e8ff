"""A slot that fails everything, a build that fails everywhere, a job that kills agents: whose fault is it?"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from bus_schemas.events import Ended
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.domain.health import FIRST_S
from tests.support.faulty_runners import PLUGINS
from tests.support.pipeline import (
    SHORT_ACK_WAIT,
    EventRecorder,
    counts_reached,
    idle_slots,
    overview,
    slot_named,
    system,
)
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

BAD = "local-1/s0"


def ends_at(witness: EventRecorder, slot: str) -> list[Ended]:
    ends = [e for events in witness.events.values() for e in events if isinstance(e, Ended)]
    return [e for e in ends if f"{e.result.agent}/{e.result.slot}" == slot]


async def test_a_black_hole_is_put_into_quarantine_and_its_jobs_run_elsewhere(tmp_path: Path) -> None:
    options: dict[str, Any] = {"agents": 2, "slots": 2, "plugins": PLUGINS}
    async with system(tmp_path, **options) as (running, bus), EventRecorder().watching(bus) as witness:
        client = Client(bus, SystemClock())
        mended = tmp_path / "mended"
        run = planned(40, runner="picky", argv=(BAD, "0.2", str(mended)))
        await submit(bus, run)

        async def quarantined() -> bool:
            status = await slot_named(client, BAD)
            assert status.state == "quarantined", status
            assert status.hold is not None
            assert status.hold.by == "scheduler"
            assert "3 jobs in a row" in (status.note or "")
            assert "the cable is broken" in (status.note or "")
            assert status.hold.until is not None
            return True

        await wait_for(quarantined, 30, "the quarantine to show")
        await counts_reached(bus, run.run_id, {"passed": 40})
        assert len({e.job_id for e in ends_at(witness, BAD)}) == 3
        assert len(ends_at(witness, BAD)) == 3, "a test of 0.2 s is not released ahead"

        before = await overview(bus)
        assert before is not None
        assert before.leader is not None
        pid = next(pid for name, pid in running.pids().items() if name.startswith("scheduler"))
        os.kill(pid, signal.SIGKILL)

        async def remembered() -> bool:
            seen = await overview(bus)
            assert seen is not None
            assert seen.leader is not None
            assert before.leader is not None
            assert seen.leader.epoch > before.leader.epoch
            assert [(hold.name, hold.kind) for hold in seen.holds] == [(BAD, "quarantined")]
            assert seen.slots_idle == 3
            return True

        await wait_for(remembered, 30, "the next leader to know of it")

        mended.touch()
        answer = await client.hold("resume", BAD)
        assert answer.changed
        await idle_slots(bus, 4)


async def test_a_build_that_fails_everywhere_is_held_and_no_slot_is_blamed(tmp_path: Path) -> None:
    options: dict[str, Any] = {"agents": 2, "slots": 2, "plugins": PLUGINS}
    async with system(tmp_path, **options) as (_, bus):
        client = Client(bus, SystemClock())
        mended = tmp_path / "mended"
        bad = planned(12, runner="picky", app="v9", argv=("*", "0", str(mended)))
        await submit(bus, bad)

        async def held() -> bool:
            seen = await overview(bus)
            assert seen is not None
            assert [build.app_version_id for build in seen.builds_held] == ["v9"]
            assert "failed on 3 slots" in seen.builds_held[0].why
            return True

        await wait_for(held, 30, "the build to be held")
        said: list[str] = []
        waiting = asyncio.create_task(
            client.wait(bad.run_id, on_change=lambda watch: said.append(watch.held or ""))
        )
        await wait_for(lambda: any("failed on 3 slots" in text for text in said), 20, "a wait to say so")
        waiting.cancel()
        await asyncio.wait([waiting])
        good = planned(12, runner="picky", app="v8", argv=("", "0.05"))
        await submit(bus, good)
        await counts_reached(bus, good.run_id, {"passed": 12})
        seen = await overview(bus)
        assert seen is not None
        assert not seen.holds, "a slot is blamed for the build"

        async def waits() -> str:
            jobs = await client.jobs(run_id=bad.run_id, state="queued", limit=1)
            return jobs[0].job_id if jobs else ""

        job_id = await wait_for(waits, 10, "a job of the held build")
        why = await client.explain(job_id)
        assert [gate.kind for gate in why.gates] == ["build_held"]
        assert any("qgjob app resume v9 --org-id bench" in change for change in why.changes)

        mended.touch()
        await client.resume_build("bench", "v9")

        async def over() -> bool:
            run = await client.run(bad.run_id)
            assert run.counts.get("passed", 0) + run.counts.get("errored", 0) == 12, run.counts
            return run.counts["passed"] > 0

        await wait_for(over, 30, "the build's jobs to end")


async def test_what_no_machine_has_holds_neither_build_nor_slots(tmp_path: Path) -> None:
    async with system(tmp_path, agents=2, slots=2) as (_, bus):
        client = Client(bus, SystemClock())
        run = planned(12, runner="no-such-runner", app="v7")
        await submit(bus, run)

        async def over() -> bool:
            seen = await overview(bus)
            assert seen is not None
            counts = (await client.run(run.run_id)).counts
            assert counts == {"errored": 12}, counts
            # A slot that met three of them before any other met one is free as soon as others have.
            assert not (*seen.builds_held, *seen.holds)
            return True

        await wait_for(over, 0.8 * FIRST_S, "the jobs to end, and nothing held")


async def test_a_job_that_kills_one_agent_after_the_other_is_stopped(tmp_path: Path) -> None:
    options: dict[str, Any] = {"agents": 4, "slots": 1, "plugins": PLUGINS, "scheduler_args": SHORT_ACK_WAIT}
    async with system(tmp_path, **options) as (_, bus), EventRecorder().watching(bus) as witness:
        run = planned(1, runner="deadly")
        job_id = run.specs[0].job_id
        await submit(bus, run)
        await wait_for(lambda: witness.ends[job_id] == 1, 90, "the job to be stopped")
        end = next(e for e in witness.events[job_id] if isinstance(e, Ended) and e.final)
        assert (end.state, end.result.reason) == ("errored", "poisonous")
        assert "3 slots went down under it" in (end.result.message or "")
        assert end.next is None
