"""A newer run with the same concurrency key takes the place of an older one, whoever leads."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

from qgjob.client import Client
from qgjob.client.submitting.publish_run import PlannedRun
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


async def _runs(client: Client, run: PlannedRun) -> bool:
    """Whether one of its jobs is at work, whichever the slot took first."""
    return "running" in {state for state, _ in await states(client, run)}


async def _passed(client: Client, run: PlannedRun) -> bool:
    return {state for state, _ in await states(client, run)} == {"passed"}
