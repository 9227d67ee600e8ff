"""Jobs that wait for a time, and those that wait too long."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from bus_schemas.events import Started
from bus_schemas.streams import JOBS
from qgjob.bus.direct import read_page
from qgjob.domain.wording import waiting_jobs
from tests.support.lab_system import Lab, job_in_state, kill_leader, lab, leader_overview, run_of
from tests.support.runs import submit
from tests.support.wait import wait_for


async def test_a_job_for_later_is_scheduled_then_runs_and_one_that_waits_too_long_expires(
    tmp_path: Path,
) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        much_later = replace(run_of(1), not_before=time.time() + 3600)
        await submit(bus, much_later)
        never = run_of(2, expires_s=1.0, requires=("nowhere",))
        await submit(bus, never)
        at = time.time() + 12  # a reign that begins on a busy machine takes some of them
        run = replace(run_of(1), not_before=at)
        await submit(bus, run)
        job_id = run.specs[0].job_id
        await kill_leader(running, bus)
        assert job_id not in witness.started(), "the next reign starts it"
        await job_in_state(client, job_id, "passed")
        await job_in_state(client, much_later.specs[0].job_id, "scheduled")
        assert (await leader_overview(bus)).delayed == 1
        (start,) = [e for e in witness.events[job_id] if isinstance(e, Started)]
        assert start.at >= at
        expired = await client.wait(never.run_id)
        assert [job.state for job in expired.jobs] == ["expired", "expired"]


async def test_a_scheduled_job_can_be_cancelled_and_its_run_is_over(shared_lab: Lab) -> None:
    _, bus, client, _witness = shared_lab
    run = replace(run_of(2), not_before=time.time() + 3600)
    await submit(bus, run)
    await job_in_state(client, run.specs[0].job_id, "scheduled")
    assert len((await client.cancel(run.run_id)).affected) == 2
    assert (await client.wait(run.run_id)).verdict == 19

    async def empty() -> bool:
        return (await read_page(bus, JOBS, "qg.jobs.medium.bench.*")).messages == []

    await wait_for(empty, 20, "an empty backlog")


async def test_health_counts_jobs_for_later_as_the_queue_does(shared_lab: Lab) -> None:
    _, bus, client, _witness = shared_lab
    await submit(bus, replace(run_of(2), not_before=time.time() + 3600))
    never = run_of(3, requires=("nowhere",))
    await submit(bus, never)

    async def said() -> str:
        return next(check.detail for check in (await client.health()).checks if check.name == "queue")

    words = "5 (high 0, medium 5, low 0), 2 of them for their time"

    async def counted() -> bool:
        overview = await leader_overview(bus)
        return words == waiting_jobs(overview.depths, overview.delayed) and words in await said()

    await wait_for(counted, 20, "the same in both")
    assert "; the oldest for " in await said()
    await client.cancel(never.run_id)
    alone = "waiting: 2 (high 0, medium 2, low 0), 2 of them for their time"

    async def are_alone() -> bool:
        return await said() == alone

    await wait_for(are_alone, 20, "those for later alone")
