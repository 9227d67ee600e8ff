"""A retry of a run says which of its jobs are not kept any more."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bus_schemas import streams, subjects
from bus_schemas.events import Released
from bus_schemas.jobs import JobSpec
from qgjob.bus.connect import Bus
from qgjob.bus.topology import stream_state
from qgjob.cli.commands.retry import left_out
from qgjob.client import Client
from qgjob.errors import RefusedError
from qgjob.local.system import LocalSystem
from qgjob.store.keys import Keys
from tests.support.lab_system import Lab
from tests.support.pipeline import EventRecorder, overview
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

RunOfThree = tuple[LocalSystem, Bus, Client, list[JobSpec]]


@pytest.fixture
async def run_of_three(shared_lab: Lab) -> RunOfThree:
    running, bus, client, witness = shared_lab
    ended_before = (await client.overview()).ended.get("passed", 0)
    run = planned(3, runner="noop")
    await submit(bus, run)
    await client.wait(run.run_id)
    await all_told(running, bus, witness, list(run.specs), ended_before)
    return running, bus, client, list(run.specs)


async def all_told(
    running: LocalSystem, bus: Bus, witness: EventRecorder, specs: list[JobSpec], ended_before: int
) -> None:
    """Wait until nobody has anything to write of these jobs any more."""

    async def told() -> bool:
        for spec in specs:  # that it was released may be told after its end
            assert any(isinstance(event, Released) for event in witness.events[spec.job_id])
        seen = await overview(bus)
        assert seen is not None
        assert (seen.ended["passed"], seen.running) == (ended_before + len(specs), 0)
        stored = await store.hget(Keys().position, "seq")
        assert int(stored or 0) == (await stream_state(bus, streams.EVENTS))["last_seq"]
        return True

    assert running.redis_url
    async with Redis.from_url(running.redis_url) as store:
        await wait_for(told, 20, "the ends in the scheduler and in the store")


async def lose_spec(bus: Bus, spec: JobSpec) -> None:
    """As the stream does a day after the submit."""
    first = subjects.event(spec.org_id, spec.run_id, spec.job_id, 1, "info")
    await bus.requests.api(f"STREAM.PURGE.{streams.EVENTS}", {"filter": first})


async def lose_job(running: LocalSystem, *specs: JobSpec) -> None:
    """As the store does a day after the end."""
    assert running.redis_url
    async with Redis.from_url(running.redis_url) as store:
        for spec in specs:
            assert await store.delete(Keys().job(spec.job_id)) == 1
            assert await store.zrem(Keys().run_jobs(spec.run_id), spec.job_id) == 1


async def test_jobs_whose_spec_is_not_kept_are_named(run_of_three: RunOfThree) -> None:
    _, bus, client, (gone, second, third) = run_of_three
    await lose_spec(bus, gone)
    answer = await client.retry(gone.run_id)
    assert answer.affected == (second.job_id, third.job_id)
    assert (answer.gone, answer.forgotten) == ((gone.job_id,), 0)
    assert list(left_out(gone.run_id, answer)) == [
        f"1 job of {gone.run_id} was left out, as what they were made of is not kept any more: {gone.job_id}."
    ]


async def test_jobs_of_which_nothing_is_kept_are_counted(run_of_three: RunOfThree) -> None:
    running, _, client, (first, second, third) = run_of_three
    await lose_job(running, first, third)
    answer = await client.retry(first.run_id)
    assert answer.affected == (second.job_id,)
    assert (answer.gone, answer.forgotten) == ((), 2)
    assert list(left_out(first.run_id, answer)) == [
        f"2 jobs of {first.run_id} were left out, as nothing of them is kept any more."
    ]


async def test_a_run_of_which_only_the_name_is_kept_is_refused(run_of_three: RunOfThree) -> None:
    running, _, client, specs = run_of_three
    await lose_job(running, *specs)
    with pytest.raises(RefusedError, match="is not kept any more"):
        await client.retry(specs[0].run_id)


async def test_what_is_kept_leaves_nothing_out(run_of_three: RunOfThree) -> None:
    _, __, client, specs = run_of_three
    answer = await client.retry(specs[0].run_id)
    assert (len(answer.affected), answer.gone, answer.forgotten) == (3, (), 0)
    assert not list(left_out(specs[0].run_id, answer))
