"""Jobs that wait for a time, and those that wait too long."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from bus_schemas.events import Started
from bus_schemas.streams import JOBS
from qgjob.bus.direct import read_page
from tests.support.controlled import is_in, kill_leader, lab, run_of, told
from tests.support.runs import submit
from tests.support.wait import wait_for


async def test_a_job_for_later_is_scheduled_then_runs_and_one_that_waits_too_long_expires(
    tmp_path: Path,
) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        much_later = replace(run_of(1), not_before=time.time() + 3600)
        await submit(bus, much_later)
        at = time.time() + 3
        run = replace(run_of(1), not_before=at)
        await submit(bus, run)
        never = run_of(2, expires_s=1.0, requires=("nowhere",))
        await submit(bus, never)
        job_id = run.specs[0].job_id
        await kill_leader(running, bus)
        await is_in(client, job_id, "passed")
        await is_in(client, much_later.specs[0].job_id, "scheduled")
        assert (await told(bus)).delayed == 1
        (start,) = [e for e in witness.events[job_id] if isinstance(e, Started)]
        assert start.at >= at
        expired = await client.wait(never.run_id)
        assert [job.state for job in expired.jobs] == ["expired", "expired"]


async def test_a_scheduled_job_can_be_cancelled_and_its_run_is_over(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, bus, client, _witness):
        run = replace(run_of(2), not_before=time.time() + 3600)
        await submit(bus, run)
        await is_in(client, run.specs[0].job_id, "scheduled")
        assert len((await client.cancel(run.run_id)).affected) == 2
        assert (await client.wait(run.run_id)).verdict == 19

        async def empty() -> bool:
            return (await read_page(bus, JOBS, "qg.jobs.medium.bench.*")).messages == []

        await wait_for(empty, 20, "an empty backlog")
