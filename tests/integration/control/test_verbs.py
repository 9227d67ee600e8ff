"""Retry, reprioritise, cancel, pause and limit on a whole system, over kills of the leader."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.system import submit
from bus_schemas import subjects
from bus_schemas.events import Ended, Retrying, Started
from bus_schemas.requests import CtlAnswer, JobView, Overview
from bus_schemas.rules import RetryRequest
from bus_schemas.streams import JOBS, SETTINGS_BUCKET, WORK
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_page
from qgjob.bus.topology import delete_message
from qgjob.client import Client
from qgjob.client.publish_run import PlannedRun
from qgjob.client.query import ask
from qgjob.errors import NotFoundError, UsageError
from qgjob.local.system import LocalSystem
from tests.integration.control.conftest import lab
from tests.support.pipeline import Witness, overview, planned
from tests.support.wait import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def run_of(count: int, *, seconds: float = 0.05, **spec: object) -> PlannedRun:
    run = planned(count, runner="sleep", argv=(str(seconds),))
    return replace(run, specs=[job.model_copy(update=spec) for job in run.specs]) if spec else run


async def is_in(client: Client, job_id: str, *states: str) -> JobView:
    async def so() -> list[JobView]:
        job = await client.job(job_id)
        assert job.state in states, job
        return [job]

    return (await wait_for(so, 30, f"{job_id} {states}"))[0]


async def kill_leader(running: LocalSystem, bus: Bus) -> None:
    """SIGKILL the only scheduler and wait until its successor has told how things are."""
    epoch = (await told(bus)).leader
    os.kill(running.pids()["scheduler"], signal.SIGKILL)

    async def succeeded() -> bool:
        seen = await overview(bus)
        return seen is not None and seen.leader is not None and seen.leader != epoch

    await wait_for(succeeded, 30, "another reign")


async def told(bus: Bus) -> Overview:
    async def so() -> list[Overview]:
        seen = await overview(bus)
        return [seen] if seen is not None and seen.leader is not None else []

    return (await wait_for(so, 30, "a leader's word"))[0]


def order_of_starts(witness: Witness) -> list[str]:
    starts = [e for events in witness.events.values() for e in events if isinstance(e, Started)]
    return [e.job_id for e in sorted(starts, key=lambda e: e.at)]


async def ends(witness: Witness, count: int) -> None:
    await wait_for(lambda: sum(witness.ends.values()) >= count, 60, f"{count} ends")


async def test_a_job_that_ended_is_tried_once_more_and_waited_for(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, bus, client, witness):
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


async def test_what_goes_on_is_not_retried_and_what_is_unknown_is_not_found(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, bus, client, witness):
        run = run_of(1, seconds=30)
        await submit(bus, run)
        job_id = run.specs[0].job_id
        await wait_for(lambda: job_id in witness.started(), 20, "a start")
        answer = await client.retry(job_id)
        assert (answer.affected, answer.already) == ((), (job_id,))
        cancelled = await client.cancel(job_id)
        assert cancelled.affected == (job_id,)
        await is_in(client, job_id, "cancelled")
        assert (await client.retry(job_id)).affected == (job_id,)
        await wait_for(
            lambda: sum(isinstance(e, Started) for e in witness.events[job_id]) == 2, 20, "another start"
        )
        for verb in (client.retry, client.cancel):
            with pytest.raises(NotFoundError):
                await verb("j_7zzzzzzzzzzzzzzzzzzzzzzzzz")
        with pytest.raises(NotFoundError):
            await client.reprioritise("j_7zzzzzzzzzzzzzzzzzzzzzzzzz", 5)
        with pytest.raises(UsageError):
            await client.reprioritise(job_id, 11)


async def test_a_more_urgent_job_goes_first_also_after_a_kill(tmp_path: Path) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        await client.pause_queue()
        runs = [run_of(3), run_of(3)]
        for run in runs:
            await submit(bus, run)
        last = runs[1].specs[2].job_id
        await is_in(client, last, "queued")
        assert len((await client.reprioritise(runs[1].run_id, 7)).affected) == 3
        assert (await client.reprioritise(last, 10)).affected == (last,)
        assert (await client.job(last)).priority == 10
        await kill_leader(running, bus)
        await client.resume_queue()
        await ends(witness, 6)
        expected = [last, *(s.job_id for s in runs[1].specs[:2]), *(s.job_id for s in runs[0].specs)]
        assert order_of_starts(witness) == expected
        assert (await client.reprioritise(last, 1)).already == (last,)


async def test_the_priority_of_a_running_job_counts_for_later_attempts(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, bus, client, witness):
        run = run_of(1, seconds=30)
        await submit(bus, run)
        job_id = run.specs[0].job_id
        await wait_for(lambda: job_id in witness.started(), 20, "a start")
        answer = await client.reprioritise(job_id, 9)
        assert (answer.affected, answer.later) == ((), (job_id,))
        assert (await is_in(client, job_id, "running")).priority == 9
        await client.cancel(job_id)
        await is_in(client, job_id, "cancelled")
        await client.pause_queue()
        await client.retry(job_id)

        async def waits_as_high() -> bool:
            seen = await overview(bus)
            return seen is not None and seen.depths.get("high") == 1

        await wait_for(waits_as_high, 20, "the next attempt among the urgent")


async def test_pauses_and_limits_hold_over_a_kill_and_are_shown(tmp_path: Path) -> None:
    async with lab(tmp_path, slots=4) as (running, bus, client, witness):
        rules = await client.pause_queue(org_id="bench", note="the lab moves", by="ann")
        assert rules.changed
        assert not (await client.pause_queue(org_id="bench")).changed
        await client.limit_org("bench", max_running=2, weight=3)
        run = run_of(12, seconds=0.2)
        await submit(bus, run)
        await kill_leader(running, bus)

        async def held() -> Overview | None:
            seen = await overview(bus)
            return seen if seen is not None and seen.held == 12 else None

        seen = await wait_for(held, 20, "twelve held jobs")
        assert seen is not None
        (pause,) = seen.pauses
        assert (pause.org_id, pause.capability, pause.by, pause.note) == (
            "bench",
            None,
            "ann",
            "the lab moves",
        )
        (org,) = seen.orgs
        assert (org.org_id, org.max_running, org.weight, org.running) == ("bench", 2, 3.0, 0)
        assert [group.waiting for group in seen.groups] == [12]
        assert not witness.started()
        other = run_of(1, org_id="free")
        await submit(bus, replace(other, org_id="free"))
        await ends(witness, 1)
        assert (await client.resume_queue(org_id="bench")).changed
        assert not (await client.resume_queue(org_id="bench")).changed
        await ends(witness, 5)
        await kill_leader(running, bus)
        await ends(witness, 13)
        assert most_at_once(witness, {spec.job_id for spec in run.specs}) == 2
        assert not (await client.limit_org("bench", unlimited=True, weight=1)).orgs


async def test_a_run_never_has_more_jobs_running_than_it_may(tmp_path: Path) -> None:
    async with lab(tmp_path, slots=4) as (running, bus, _client, witness):
        run, free = run_of(10, seconds=0.2, max_parallel=2), run_of(4, seconds=0.2)
        await submit(bus, run)
        await submit(bus, free)
        await ends(witness, 4)
        await kill_leader(running, bus)
        await ends(witness, 14)
        assert most_at_once(witness, {spec.job_id for spec in run.specs}) == 2


def most_at_once(witness: Witness, jobs: set[str]) -> int:
    """The most of these jobs that ran at the same time, by the agents' clock of one machine."""
    steps: list[tuple[float, int]] = []
    for job_id in jobs:
        for event in witness.events[job_id]:
            if isinstance(event, Ended):
                assert event.result.started_at is not None
                assert event.result.finished_at is not None
                steps += [(event.result.started_at, 1), (event.result.finished_at, -1)]
    running = most = 0
    for _, step in sorted(steps):
        running += step
        most = max(most, running)
    return most


async def test_an_old_leaders_last_word_on_the_rules_is_heard(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, bus, client, witness):
        await client.pause_queue(org_id="bench")
        await kv.delete(bus, SETTINGS_BUCKET, "rules")
        await submit(bus, run_of(1))
        await ends(witness, 1)


async def test_a_job_for_later_is_scheduled_then_runs_and_one_that_waits_too_long_expires(
    tmp_path: Path,
) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        at = time.time() + 3
        run = replace(run_of(1), not_before=at)
        await submit(bus, run)
        never = run_of(2, expires_s=1.0, requires=("nowhere",))
        await submit(bus, never)
        job_id = run.specs[0].job_id
        await is_in(client, job_id, "scheduled")
        assert (await told(bus)).delayed == 1
        await kill_leader(running, bus)
        await is_in(client, job_id, "passed")
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
        await is_in(client, job_id, "cancelled", "errored")
        await asyncio.gather(*(client.retry(job_id) for _ in range(3)))


async def test_work_that_vanished_is_tried_again(tmp_path: Path) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        agent = next(pid for name, pid in running.pids().items() if name.startswith("agent"))
        run = run_of(1)
        os.kill(agent, signal.SIGSTOP)
        try:
            await submit(bus, run)

            async def released() -> list[int]:
                return [m.seq for m in (await read_page(bus, WORK, "qg.work.*.*.*.*")).messages]

            (seq,) = await wait_for(released, 20, "a release")
            await delete_message(bus, WORK, seq)
        finally:
            os.kill(agent, signal.SIGCONT)
        job = (await client.wait(run.run_id)).jobs[0]
        assert [a.outcome for a in job.attempts] == ["errored", "passed"], job
        assert job.attempts[0].reason == "lost"
        assert dict(witness.ends) == {job.job_id: 1}

        async def counted() -> bool:
            return (await client.overview()).ended == {"passed": 1}

        await wait_for(counted, 20, "one job that ended, though two attempts did")


async def test_rules_that_make_no_sense_are_refused_with_a_sentence(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, _bus, client, _witness):
        with pytest.raises(UsageError, match="is not a label"):
            await client.pause_queue(capability="NO SUCH")
        with pytest.raises(UsageError):
            await client.limit_org("bench", max_running=0)
        with pytest.raises(UsageError):
            await client.limit_org("bench", weight=-1)


async def test_who_asks_a_scheduler_that_stands_still_hears_so_and_is_served_when_it_goes_on(
    tmp_path: Path,
) -> None:
    async with lab(tmp_path) as (running, _bus, client, _witness):
        scheduler = running.pids()["scheduler"]
        os.kill(scheduler, signal.SIGSTOP)
        try:
            asking = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "qgjob.cli.main",
                "--server",
                running.server,
                "queue",
                "pause",
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "QGJOB_STATE_DIR": str(tmp_path / "state")},
            )
            assert asking.stderr is not None
            said = await asyncio.wait_for(asking.stderr.readline(), 20)
        finally:
            os.kill(scheduler, signal.SIGCONT)
        assert said == b"The scheduler has not answered yet; still waiting.\n"
        out, rest = await asyncio.wait_for(asking.communicate(), 40)
        assert (asking.returncode, rest) == (0, b"")
        assert out.startswith(b"Paused the whole queue")

        async def paused() -> bool:  # it may begin a new reign first
            return [pause.org_id for pause in (await client.overview()).pauses] == [None]

        await wait_for(paused, 30, "the pause")
