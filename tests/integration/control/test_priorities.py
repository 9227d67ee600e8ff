"""New priorities of jobs and runs, over kills of the leader."""

from __future__ import annotations

from pathlib import Path

from bus_schemas.events import Started
from qgjob.domain.placement.model import RELEASE_WINDOW_S
from tests.support.lab_system import Lab, ends, job_in_state, kill_leader, lab, run_of
from tests.support.pipeline import EventRecorder, overview
from tests.support.runs import submit
from tests.support.wait import wait_for


def order_of_starts(witness: EventRecorder) -> list[str]:
    starts = [e for events in witness.events.values() for e in events if isinstance(e, Started)]
    return [e.job_id for e in sorted(starts, key=lambda e: e.at)]


async def test_a_more_urgent_job_goes_first_also_after_a_kill(tmp_path: Path) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        await client.pause_queue()
        # Of shorter tests a slot fetches the next ahead, and one that it gives back may be overtaken.
        runs = [run_of(3, seconds=RELEASE_WINDOW_S + 0.05), run_of(3, seconds=RELEASE_WINDOW_S + 0.05)]
        for run in runs:
            await submit(bus, run)
        last = runs[1].specs[2].job_id
        await job_in_state(client, last, "queued")
        assert len((await client.reprioritise(runs[1].run_id, 7)).affected) == 3
        assert (await client.reprioritise(last, 10)).affected == (last,)
        assert (await client.job(last)).priority == 10
        await kill_leader(running, bus)
        await client.resume_queue()
        await ends(witness, 6)
        expected = [last, *(s.job_id for s in runs[1].specs[:2]), *(s.job_id for s in runs[0].specs)]
        assert order_of_starts(witness) == expected
        assert (await client.reprioritise(last, 1)).already == (last,)


async def test_the_priority_of_a_running_job_counts_for_later_attempts(shared_lab: Lab) -> None:
    _, bus, client, witness = shared_lab
    run = run_of(1, seconds=30)
    await submit(bus, run)
    job_id = run.specs[0].job_id
    await wait_for(lambda: job_id in witness.started(), 20, "a start")
    answer = await client.reprioritise(job_id, 9)
    assert (answer.affected, answer.later) == ((), (job_id,))
    assert (await job_in_state(client, job_id, "running")).priority == 9
    await client.cancel(job_id)
    await job_in_state(client, job_id, "cancelled")
    await client.pause_queue()
    await client.retry(job_id)

    async def waits_as_high() -> bool:
        seen = await overview(bus)
        return seen is not None and seen.depths.get("high") == 1

    await wait_for(waits_as_high, 20, "the next attempt among the urgent")
