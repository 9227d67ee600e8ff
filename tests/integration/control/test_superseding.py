"""A newer run with the same concurrency key takes the place of an older one, whoever leads."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus
from qgjob.client import Client
from qgjob.client.submitting.publish_run import PlannedRun
from qgjob.scheduler.backlog.runs import Runs
from qgjob.scheduler.intake.superseding import Superseding
from tests.support.lab_system import job_in_state, lab, run_of
from tests.support.runs import submit
from tests.support.wait import wait_for


def keyed(count: int, key: str, *, seconds: float = 0.05) -> PlannedRun:
    return run_of(count, seconds=seconds, concurrency_key=key)


async def states(client: Client, run: PlannedRun) -> set[tuple[str, str | None]]:
    return {(job.state, job.message) for job in (await client.run(run.run_id)).jobs}


async def test_the_older_run_is_cancelled_also_by_a_leader_that_inherits_both(tmp_path: Path) -> None:
    async with lab(tmp_path) as (running, bus, client, _):
        other = keyed(1, "other")
        foreign = run_of(1, concurrency_key="main", org_id="else")
        foreign = replace(foreign, org_id="else")
        old = keyed(3, "main", seconds=60)
        await submit(bus, old)
        await wait_for(lambda: _runs(client, old), 30, "the older run")
        new = keyed(3, "main", seconds=60)
        await asyncio.gather(submit(bus, other), submit(bus, foreign), submit(bus, new))

        async def superseded(run: PlannedRun, by: PlannedRun) -> bool:
            assert await states(client, run) == {("cancelled", f"superseded by {by.run_id}")}
            return True

        await wait_for(lambda: superseded(old, new), 30, "the older run")
        await wait_for(lambda: _runs(client, new), 30, "the newer run")

        # Nobody leads while the next one comes: who leads then finds one run at work, and both waiting.
        os.kill(running.pids()["scheduler"], signal.SIGKILL)
        newest = keyed(2, "main")
        await submit(bus, newest)
        await wait_for(lambda: superseded(new, newest), 60, "the run that was at work")
        for run in (newest, other, foreign):
            for job in run.specs:
                assert (await job_in_state(client, job.job_id, "passed")).attempts[0].number == 1

        # Somebody wants the old one after all: that counts, and costs the newest nothing.
        quick = keyed(1, "late")
        await submit(bus, quick)
        later = keyed(1, "late")
        await submit(bus, later)
        await client.cancel(quick.run_id)
        await job_in_state(client, quick.specs[0].job_id, "cancelled", "passed")
        await client.retry(quick.run_id)
        await wait_for(lambda: _passed(client, quick), 30, "a superseded run that was asked for again")


async def test_who_takes_over_looks_up_the_runs_of_all_keys_at_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, thousands of them under load outlasted the reign that asked."""
    inherited = [keyed(1, f"key-{number}") for number in range(30)]
    asked, all_asked = set[str](), asyncio.Event()

    async def cancel(_: bytes) -> None: ...

    request = bus.requests.request

    async def held_back(subject: str, *args: Any, **more: Any) -> Msg:
        if subject.startswith("$JS.API.DIRECT.GET.KV_qg_newest."):
            asked.add(subject)
            if len(asked) == len(inherited):
                all_asked.set()
            await all_asked.wait()
        return await request(subject, *args, **more)

    monkeypatch.setattr(bus.requests, "request", held_back)
    superseding = Superseding(bus, Runs(bus), cancel, asyncio.Event())
    async with asyncio.timeout(20):
        assert await superseding.learn(JobMessage(spec=run.specs[0]) for run in inherited) == []
    newer = keyed(1, "key-7")
    assert await superseding.learn([JobMessage(spec=newer.specs[0])]) == [(inherited[7].run_id, newer.run_id)]


async def _runs(client: Client, run: PlannedRun) -> bool:
    """Whether one of its jobs is at work, whichever the slot took first."""
    return "running" in {state for state, _ in await states(client, run)}


async def _passed(client: Client, run: PlannedRun) -> bool:
    return {state for state, _ in await states(client, run)} == {"passed"}
