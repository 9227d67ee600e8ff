"""A retry of a run says which of its jobs are not kept any more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

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
from tests.support.lab_system import lab
from tests.support.pipeline import EventRecorder, overview
from tests.support.runs import planned, submit
from tests.support.wait import wait_for


@asynccontextmanager
async def run_of_three(folder: Path) -> AsyncGenerator[tuple[LocalSystem, Bus, Client, list[JobSpec]]]:
    async with lab(folder) as (running, bus, client, witness):
        run = planned(3, runner="noop")
        await submit(bus, run)
        await client.wait(run.run_id)
        await all_told(running, bus, witness, list(run.specs))
        yield running, bus, client, list(run.specs)


async def all_told(running: LocalSystem, bus: Bus, witness: EventRecorder, specs: list[JobSpec]) -> None:
    """Wait until nobody has anything to write of these jobs any more."""

    async def told() -> bool:
        for spec in specs:  # that it was released may be told after its end
            assert any(isinstance(event, Released) for event in witness.events[spec.job_id])
        seen = await overview(bus)
        assert seen is not None
        assert (seen.ended, seen.running) == ({"passed": len(specs)}, 0)
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


async def test_jobs_whose_spec_is_not_kept_are_named(tmp_path: Path) -> None:
    async with run_of_three(tmp_path) as (_, bus, client, (gone, second, third)):
        await lose_spec(bus, gone)
        answer = await client.retry(gone.run_id)
        assert answer.affected == (second.job_id, third.job_id)
        assert (answer.gone, answer.forgotten) == ((gone.job_id,), 0)
        assert list(left_out(gone.run_id, answer)) == [
            f"1 job of {gone.run_id} was left out, as what they were made of is not kept any more: {gone.job_id}."
        ]


async def test_jobs_of_which_nothing_is_kept_are_counted(tmp_path: Path) -> None:
    async with run_of_three(tmp_path) as (running, _, client, (first, second, third)):
        await lose_job(running, first, third)
        answer = await client.retry(first.run_id)
        assert answer.affected == (second.job_id,)
        assert (answer.gone, answer.forgotten) == ((), 2)
        assert list(left_out(first.run_id, answer)) == [
            f"2 jobs of {first.run_id} were left out, as nothing of them is kept any more."
        ]


async def test_a_run_of_which_only_the_name_is_kept_is_refused(tmp_path: Path) -> None:
    async with run_of_three(tmp_path) as (running, _, client, specs):
        await lose_job(running, *specs)
        with pytest.raises(RefusedError, match="is not kept any more"):
            await client.retry(specs[0].run_id)


async def test_what_is_kept_leaves_nothing_out(tmp_path: Path) -> None:
    async with run_of_three(tmp_path) as (_, __, client, specs):
        answer = await client.retry(specs[0].run_id)
        assert (len(answer.affected), answer.gone, answer.forgotten) == (3, (), 0)
        assert not list(left_out(specs[0].run_id, answer))
