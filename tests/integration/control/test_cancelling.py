"""A cancel reaches whoever holds the job, whatever was lost on the way, and stays one afterwards."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from bus_schemas import streams, subjects
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import ask_holder
from qgjob.bus.direct import read_page
from tests.support.lab_system import Lab, job_in_state, kill_leader, lab, run_of
from tests.support.runs import part_of, submit
from tests.support.wait import wait_for

DAYS = 3 * 86_400.0


async def test_a_holder_that_was_not_told_of_its_cancel_is_told_by_the_next_leader(tmp_path: Path) -> None:
    """The leader died between the link of the chain and the word to the agent."""
    async with lab(tmp_path) as (running, bus, client, _):
        run = run_of(1, seconds=100)
        await submit(bus, run)
        (spec,) = run.specs
        await job_in_state(client, spec.job_id, "running")
        await ask_holder(bus, JobMessage(spec=spec), "ann", "enough", now=time.time())
        await kill_leader(running, bus)
        job = await job_in_state(client, spec.job_id, "cancelled")
        assert job.message == "enough"


async def test_a_cancel_that_is_asked_for_again_is_said_to_the_holder_again(shared_lab: Lab) -> None:
    """What was said before, nobody may have heard."""
    _, bus, client, _witness = shared_lab
    run = run_of(1, seconds=100)
    await submit(bus, run)
    (spec,) = run.specs
    await job_in_state(client, spec.job_id, "running")
    await ask_holder(bus, JobMessage(spec=spec), "ann", "enough", now=time.time())
    assert (await client.cancel(spec.job_id)).affected == (spec.job_id,)
    await job_in_state(client, spec.job_id, "cancelled")


async def test_a_job_of_a_run_that_is_not_complete_yet_is_cancelled_with_the_others_to_come(
    shared_lab: Lab,
) -> None:
    _, bus, client, witness = shared_lab
    run = run_of(4)
    await part_of(bus, run, 0, parts=2)
    unwanted = run.specs[0].job_id
    await job_in_state(client, unwanted, "queued")
    asked = await bus.nc.subscribe(subjects.CTL_ALL)
    await bus.requests.round_trip()
    cancelling = asyncio.create_task(client.cancel(unwanted))
    await asked.next_msg(20)  # before the others are stored
    await part_of(bus, run, 1, parts=2)
    answer = await cancelling
    assert answer.affected == (unwanted,)
    await client.wait(run.run_id)
    assert witness.ends[unwanted] == 1
    await job_in_state(client, unwanted, "cancelled")


async def test_what_was_cancelled_before_its_time_is_not_found_in_the_backlog_by_another_leader(
    tmp_path: Path,
) -> None:
    """Its end would be forgotten before its time comes: it would run."""
    async with lab(tmp_path) as (running, bus, client, witness):
        later = replace(run_of(1), not_before=time.time() + DAYS)
        (spec,) = later.specs
        await submit(bus, later)
        await job_in_state(client, spec.job_id, "scheduled")
        now = run_of(1)
        await submit(bus, now)  # what was released a moment ago stays in the backlog for seconds
        await wait_for(lambda: witness.ends[now.specs[0].job_id], 20, "a job to end")
        await client.cancel(spec.job_id)
        await wait_for(lambda: witness.ends[spec.job_id], 20, "the cancel to be recorded")
        await kill_leader(running, bus)

        async def empty() -> bool:
            return (await read_page(bus, streams.JOBS, "qg.jobs.medium.bench.*")).messages == []

        await wait_for(empty, 20, "an empty backlog")
