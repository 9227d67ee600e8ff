"""Retry and cancel on a whole system, over kills of the leader."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bus_schemas import subjects
from bus_schemas.control import CtlAnswer, RetryRequest
from bus_schemas.events import Retrying, Started
from bus_schemas.streams import WORK
from qgjob.bus.direct import read_page
from qgjob.bus.topology import delete_message
from qgjob.client.requests.request import ask
from qgjob.errors import NotFoundError, UsageError
from tests.support.lab_system import Lab, ends, job_in_state, kill_leader, lab, run_of
from tests.support.runs import submit
from tests.support.standstill import standing_still
from tests.support.wait import wait_for


async def test_a_job_that_ended_is_tried_once_more_and_waited_for(shared_lab: Lab) -> None:
    _, bus, client, witness = shared_lab
    run = run_of(2)
    await submit(bus, run)
    first, second = (spec.job_id for spec in run.specs)
    assert (await client.wait(run.run_id)).verdict == 0
    answer = await client.retry(first, by="ann")
    assert (answer.affected, answer.already) == ((first,), ())
    # What `retry` answered is true at once for whoever asks: the job waits or runs again.
    assert (await client.job(first)).state not in {"failed", "errored"}
    waited = await client.wait(run.run_id)
    assert waited.verdict == 0
    assert {job.job_id: len(job.attempts) for job in waited.jobs} == {first: 2, second: 1}
    assert dict(witness.ends) == {first: 2, second: 1}
    (asked,) = [e for e in witness.events[first] if isinstance(e, Retrying)]
    assert (asked.by, asked.next_attempt, asked.charged) == ("ann", 2, False)
    seen = await client.run(run.run_id)
    assert (seen.state, seen.counts) == ("passed", {"passed": 2})


async def test_a_retry_whose_answer_was_lost_is_repeated_over_a_kill_and_makes_one_attempt(
    tmp_path: Path,
) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        run = run_of(3)
        await submit(bus, run)
        await client.wait(run.run_id)
        request = RetryRequest(id=run.run_id, by="ann", nonce="the-same")
        answer = await ask(bus, subjects.ctl("retry"), request, CtlAnswer)
        assert len(answer.affected) == 3
        again = await ask(bus, subjects.ctl("retry"), request, CtlAnswer)
        assert again.affected == answer.affected
        await client.wait(run.run_id)
        await kill_leader(running, bus)
        once_more = await ask(bus, subjects.ctl("retry"), request, CtlAnswer)
        assert once_more.affected == answer.affected
        await client.wait(run.run_id)
        assert set(witness.ends.values()) == {2}
        other = await ask(bus, subjects.ctl("retry"), request.model_copy(update={"nonce": "x"}), CtlAnswer)
        assert other.affected == answer.affected
        await ends(witness, 9)


async def test_only_what_failed_is_tried_again_when_that_is_asked_for(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, bus, client, _witness):
        run = run_of(2)
        bad = run.specs[1].model_copy(update={"runner": "no-such-runner", "infra_retries": 0})
        await submit(bus, replace(run, specs=[run.specs[0], bad]))
        await client.wait(run.run_id)
        answer = await client.retry(run.run_id, failed=True)
        assert answer.affected == (bad.job_id,)
        job = (await client.wait(bad.job_id)).jobs[0]
        assert (job.state, [a.number for a in job.attempts]) == ("errored", [1, 2])
        assert (await client.retry(run.specs[0].job_id, failed=True)).affected == ()


async def test_what_goes_on_is_not_retried_and_what_is_unknown_is_not_found(shared_lab: Lab) -> None:
    _, bus, client, witness = shared_lab
    run = run_of(1, seconds=30)
    await submit(bus, run)
    job_id = run.specs[0].job_id
    await wait_for(lambda: job_id in witness.started(), 20, "a start")
    answer = await client.retry(job_id)
    assert (answer.affected, answer.already) == ((), (job_id,))
    cancelled = await client.cancel(job_id)
    assert cancelled.affected == (job_id,)
    await job_in_state(client, job_id, "cancelled")
    assert (await client.retry(job_id)).affected == (job_id,)
    await wait_for(
        lambda: sum(isinstance(e, Started) for e in witness.events[job_id]) == 2, 20, "another start"
    )
    await client.cancel(job_id)
    for verb in (client.retry, client.cancel):
        with pytest.raises(NotFoundError):
            await verb("j_7zzzzzzzzzzzzzzzzzzzzzzzzz")
    with pytest.raises(NotFoundError):
        await client.reprioritise("j_7zzzzzzzzzzzzzzzzzzzzzzzzz", 5)
    with pytest.raises(UsageError):
        await client.reprioritise(job_id, 11)


async def test_a_cancel_between_two_attempts_outlives_the_leader(tmp_path: Path) -> None:
    """The attempt that follows is ended on its chain before the cancel is answered."""
    async with lab(tmp_path) as (running, bus, client, witness):
        run = run_of(1, infra_retries=5)
        failing = run.specs[0].model_copy(update={"runner": "no-such-runner"})
        scheduler = running.pids()["scheduler"]
        await submit(bus, replace(run, specs=[failing]))
        job_id = failing.job_id
        await wait_for(lambda: len(witness.events[job_id]) > 1, 20, "the first events")
        for _ in range(3):
            await client.cancel(job_id)
        os.kill(scheduler, signal.SIGKILL)
        await wait_for(lambda: running.pids().get("scheduler", scheduler) != scheduler, 30, "a successor")
        await job_in_state(client, job_id, "cancelled", "errored")
        await asyncio.gather(*(client.retry(job_id) for _ in range(3)))


async def test_work_that_vanished_is_tried_again(tmp_path: Path) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        agent = next(pid for name, pid in running.pids().items() if name.startswith("agent"))
        run = run_of(1)
        async with standing_still(agent):
            await submit(bus, run)

            async def released() -> list[int]:
                return [m.seq for m in (await read_page(bus, WORK, "qg.work.*.*.*.*")).messages]

            (seq,) = await wait_for(released, 20, "a release")
            await delete_message(bus, WORK, seq)
        job = (await client.wait(run.run_id)).jobs[0]
        assert [a.outcome for a in job.attempts] == ["errored", "passed"], job
        assert job.attempts[0].reason == "lost"
        assert dict(witness.ends) == {job.job_id: 1}

        async def counted() -> bool:
            return (await client.overview()).ended == {"passed": 1}

        await wait_for(counted, 20, "one job that ended, though two attempts did")
