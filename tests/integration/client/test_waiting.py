"""Waiting for a run until its verdict, whatever is late, lost or away."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from bus_schemas import streams
from bus_schemas.events import Retrying, Running
from bus_schemas.queries import JobState, JobView
from qgjob.bus.topology import ensure_topology
from qgjob.client import Client, Submitted
from qgjob.client.ids import new_ids
from qgjob.client.requests import request
from qgjob.client.watching import wait as wait_module
from qgjob.client.watching import watch as watch_module
from qgjob.client.watching.watch import Watch
from qgjob.errors import ExitCode, NotFoundError, UnreachableError
from tests.support.fake_scheduler import FakeScheduler
from tests.support.servers import NatsServer
from tests.support.views import NOW, ended, event_ids, make_run, queued, started, view
from tests.support.wait import wait_for


async def test_a_run_is_followed_to_its_verdict(client: Client, scheduler: FakeScheduler):
    one, two = (scheduler.add_job(job, run_size=2) for job in make_run(2))
    seen: list[dict[str, str]] = []

    def note(watch: Watch) -> None:
        seen.append({job.test: job.state for job in watch.jobs})

    waiting = asyncio.create_task(client.wait(one.run_id, on_change=note))
    await wait_for(lambda: seen)
    for event in (started(one), ended(one, "passed"), started(two), ended(two, "failed", exit_code=1)):
        await scheduler.publish_event(event)
    waited = await asyncio.wait_for(waiting, 10)
    assert waited.verdict == ExitCode.FAILED
    assert waited.run is not None
    assert (waited.run.state, waited.run.counts) == ("failed", {"passed": 1, "failed": 1})
    assert waited.jobs[1].attempts[0].exit_code == 1
    assert seen[0] == {"t0.py": "queued", "t1.py": "queued"}


async def test_a_wait_without_changes_is_told_of_all_the_same(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    """Or a build whose one test takes half an hour would be silent for so long, and be ended for it."""
    monkeypatch.setattr(wait_module, "TELL_EVERY_S", 0.05)
    (job,) = make_run(1)
    scheduler.add_job(job)
    told: list[str] = []
    waiting = asyncio.create_task(
        client.wait(job.job_id, on_change=lambda watch: told.append(watch.jobs[0].state))
    )
    await wait_for(lambda: len(told) > 10)
    assert set(told) == {"queued"}
    await scheduler.publish_event(started(job))
    await scheduler.publish_event(ended(job, "passed"))
    assert (await asyncio.wait_for(waiting, 10)).verdict == 0


async def test_what_ended_before_is_known_at_once(client: Client, scheduler: FakeScheduler):
    (job,) = make_run(1, state="passed")
    scheduler.add_job(job)
    assert (await client.wait(job.run_id)).verdict == 0
    assert (await client.wait(job.job_id)).verdict == 0


async def test_a_retry_is_waited_for(client: Client, scheduler: FakeScheduler):
    (job,) = make_run(1)
    scheduler.add_job(job)
    waiting = asyncio.create_task(client.wait(job.job_id))
    await wait_for(lambda: "get" in scheduler.asked)
    for event in (
        started(job),
        ended(job, "failed", final=False),
        Retrying(**event_ids(job), next_attempt=2, charged=True),
        started(job, 2),
    ):
        await scheduler.publish_event(event)
    assert not waiting.done()
    await scheduler.publish_event(ended(job, "passed", 2))
    waited = await asyncio.wait_for(waiting, 10)
    assert waited.verdict == 0
    assert waited.jobs[0].flaky


async def test_a_retry_in_the_moment_of_the_end_is_waited_for(client: Client, scheduler: FakeScheduler):
    """It comes between the last end and the last look at the whole: nobody's time has run out."""
    (job,) = make_run(1, state="failed")
    scheduler.add_job(job)
    retried = asyncio.Event()

    def retry(watch: Watch) -> None:
        if watch.ended and not retried.is_set():
            scheduler.jobs[job.job_id] = job.model_copy(update={"state": "queued"})
            retried.set()

    waiting = asyncio.create_task(client.wait(job.run_id, on_change=retry))
    await asyncio.wait_for(retried.wait(), 20)
    await wait_for(lambda: scheduler.asked.count("get") > 1)
    await scheduler.publish_event(started(job))
    await scheduler.publish_event(ended(job, "passed"))
    waited = await asyncio.wait_for(waiting, 10)
    assert not waited.timed_out
    assert waited.verdict == 0


def before_it_is_announced(job: JobView) -> JobView:
    """As the projection has a job whose end is stored before its announcement."""
    return view(job_id=job.job_id, run_id=job.run_id, state="passed", test="", runner="unknown")


async def test_a_job_that_ends_before_it_was_announced_keeps_its_name(
    client: Client, scheduler: FakeScheduler
) -> None:
    (job,) = make_run(1)
    scheduler.add_job(before_it_is_announced(job))
    waited = await client.wait(job.run_id, known=Submitted(run_id=job.run_id, jobs=(job,)))
    assert [(known.state, known.test, known.runner) for known in waited.jobs] == [("passed", "t0.py", "auto")]


async def test_a_wait_that_knows_only_the_id_ends_with_the_announcement(
    client: Client, scheduler: FakeScheduler
) -> None:
    (job,) = make_run(1)
    scheduler.add_job(before_it_is_announced(job))
    waiting = asyncio.create_task(client.wait(job.run_id))
    await wait_for(lambda: scheduler.asked.count("get") >= 3)
    assert not waiting.done()
    scheduler.add_job(job.model_copy(update={"state": "passed"}))
    waited = await asyncio.wait_for(waiting, 10)
    assert [known.test for known in waited.jobs] == ["t0.py"]


async def test_an_unknown_id_is_not_found(client: Client, scheduler: FakeScheduler):
    for any_id in (*new_ids("run", 1, NOW), *new_ids("job", 1, NOW), "r_x", "*", ""):
        with pytest.raises(NotFoundError):
            await client.wait(any_id)
        with pytest.raises(NotFoundError):
            await client.get(any_id)
    assert "cancel" not in scheduler.asked


async def test_what_has_not_the_form_of_an_id_is_said_in_one_way(client: Client, scheduler: FakeScheduler):
    asking = (client.get, client.wait, client.explain, client.cancel, client.retry)
    for any_id in ("", "42", "r_x\n"):
        for ask in (*asking, partial(client.reprioritise, priority=5)):
            with pytest.raises(NotFoundError) as error:
                await ask(any_id)
            assert error.value.message == f"{any_id!r} is not the id of a job (j_…) or of a run (r_…)."
    assert not scheduler.asked


async def test_a_long_run_comes_in_pages(client: Client, scheduler: FakeScheduler):
    jobs = make_run(23, state="passed")
    for job in jobs:
        scheduler.add_job(job, run_size=23)
    scheduler.page = 7
    run = await client.run(jobs[0].run_id)
    assert [job.position for job in run.jobs] == list(range(23))


async def test_events_in_the_snapshot_are_not_applied_twice(client: Client, scheduler: FakeScheduler):
    """The subscription sees an event that the snapshot, asked for later, holds already."""
    (job,) = make_run(1)
    scheduler.add_job(job)
    async with client.watch(job.run_id) as watch:
        await scheduler.publish_event(started(job))
        assert await watch.changes(5) == {job.job_id}
        assert watch.jobs[0].state == "preparing"
        await scheduler.publish_event(Running(**event_ids(job), installed=True))
        assert await watch.changes(5) == {job.job_id}
        assert watch.jobs[0].attempts[0].installed


async def test_a_run_that_no_scheduler_read_yet_is_waited_for(client: Client, scheduler: FakeScheduler):
    jobs = make_run(2)
    known = Submitted(jobs[0].run_id, tuple(jobs))
    waiting = asyncio.create_task(client.wait(jobs[0].run_id, known=known))
    await wait_for(lambda: "get" in scheduler.asked)
    for job in jobs:
        await scheduler.publish_event(queued(job, run_size=2))
        await scheduler.publish_event(started(job))
        await scheduler.publish_event(ended(job, "passed"))
    assert (await asyncio.wait_for(waiting, 10)).verdict == 0


async def test_waiting_begins_without_a_scheduler_when_the_run_is_known(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watch_module, "_SOON_S", 0.05)
    monkeypatch.setattr(request, "NO_SCHEDULER_S", 0.2)
    (job,) = make_run(1)
    await scheduler.stop()
    problems: list[str | None] = []
    waiting = asyncio.create_task(
        client.wait(
            job.run_id,
            known=Submitted(job.run_id, (job,)),
            on_change=lambda watch: problems.append(watch.problem),
        )
    )
    await wait_for(lambda: problems and problems[-1])
    scheduler.add_job(job.model_copy(update={"state": "passed"}))
    await scheduler.start()
    assert (await asyncio.wait_for(waiting, 10)).verdict == 0


async def test_without_a_scheduler_an_unknown_run_cannot_be_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(request, "NO_SCHEDULER_S", 0.2)
    monkeypatch.setattr(wait_module, "BEGIN_WITHIN_S", 0.5)
    with pytest.raises(UnreachableError, match="no scheduler answers"):
        await client.wait(new_ids("run", 1, NOW)[0])


async def test_a_wait_that_begins_while_the_scheduler_is_restarted_waits_for_it(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(request, "NO_SCHEDULER_S", 0.1)
    job = scheduler.add_job(make_run(1)[0])
    scheduler.jobs[job.job_id] = job.model_copy(update={"state": "passed"})
    await scheduler.stop()
    problems: list[str | None] = []
    waiting = asyncio.create_task(
        client.wait(job.run_id, on_change=lambda watch: problems.append(watch.problem))
    )
    await wait_for(lambda: problems, what="the problem to be told")
    await scheduler.start()
    assert (await asyncio.wait_for(waiting, 20)).verdict == 0
    assert "no scheduler answers" in (problems[0] or "")
    assert problems[-1] is None


async def test_what_happened_while_the_server_was_away_is_caught_up(
    client: Client, scheduler: FakeScheduler, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(request, "NO_SCHEDULER_S", 60.0)
    one, two = (scheduler.add_job(job, run_size=2) for job in make_run(2))
    scheduler.silent.add("agents")  # a question that hangs keeps nothing from being said
    problems: list[str | None] = []
    waiting = asyncio.create_task(
        client.wait(one.run_id, on_change=lambda watch: problems.append(watch.problem))
    )
    await wait_for(lambda: problems and "agents" in scheduler.asked)
    nats_server.kill()
    await wait_for(lambda: problems[-1:] == [watch_module.LOST])
    for job in (one, two):
        scheduler.jobs[job.job_id] = job.model_copy(update={"state": "passed"})
    await nats_server.start()
    assert (await asyncio.wait_for(waiting, 15)).verdict == 0
    assert problems[-1] is None


async def test_a_lost_event_is_found_by_comparing(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    """A subscription has no promise of delivery."""
    monkeypatch.setattr(watch_module, "LOOK_AGAIN_S", 0.1)
    jobs = [scheduler.add_job(job, run_size=2) for job in make_run(2)]
    waiting = asyncio.create_task(client.wait(jobs[0].run_id))
    await wait_for(lambda: "get" in scheduler.asked)
    for job in jobs:
        scheduler.jobs[job.job_id] = job.model_copy(update={"state": "passed"})
    assert (await asyncio.wait_for(waiting, 10)).verdict == 0


async def test_a_run_that_was_refused_as_a_whole_is_over(client: Client, scheduler: FakeScheduler):
    """Two of its five jobs are known, all of them cancelled; the others never came."""
    known, _ = (scheduler.add_job(job, run_size=5) for job in make_run(2, state="cancelled"))
    scheduler.refused.add(known.run_id)
    waited = await asyncio.wait_for(client.wait(known.run_id), 20)
    assert waited.verdict == ExitCode.CANCELLED
    assert waited.run is not None
    assert waited.run.state == "cancelled"


@pytest.mark.parametrize(("ended_as", "code"), [("passed", ExitCode.OK), ("failed", ExitCode.FAILED)])
async def test_a_run_of_which_some_ended_a_day_ago_is_over(
    client: Client, scheduler: FakeScheduler, ended_as: JobState, code: ExitCode
):
    """One was tried again the next day; of the other only the run's counts tell."""
    old, new = (scheduler.add_job(job, run_size=2) for job in make_run(2, state="passed"))
    scheduler.jobs[old.job_id] = old.model_copy(update={"state": ended_as})
    scheduler.unlisted.add(old.job_id)
    waited = await asyncio.wait_for(client.wait(new.run_id), 20)
    assert [job.job_id for job in waited.jobs] == [new.job_id]
    assert waited.verdict == code


async def test_a_run_that_was_submitted_before_and_is_not_kept_any_more_is_not_waited_for(
    client: Client, scheduler: FakeScheduler
):
    del scheduler
    (job,) = make_run(1)
    known = Submitted(job.run_id, (job,), accepted_before=True)
    with pytest.raises(NotFoundError):
        await asyncio.wait_for(client.wait(job.run_id, known=known), 20)


async def test_a_server_that_lost_its_last_writes_is_believed(
    client: Client, scheduler: FakeScheduler, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
):
    """As after a power cut, or when a backup was put back: places in the stream are given once more."""
    monkeypatch.setattr(watch_module, "LOOK_AGAIN_S", 0.2)
    one, two = (scheduler.add_job(job, run_size=2) for job in make_run(2))
    states: dict[str, str] = {}

    def note(watch: Watch) -> None:
        states.update({job.test: job.state for job in watch.jobs})

    waiting = asyncio.create_task(client.wait(one.run_id, on_change=note))
    for attempt in (1, 2, 3):
        await scheduler.publish_event(started(one, attempt))
        await scheduler.publish_event(ended(one, "errored", attempt, final=False))
    await scheduler.publish_event(started(two))
    await wait_for(lambda: states.get(two.test) == "preparing")
    await client.bus.requests.api(f"STREAM.DELETE.{streams.EVENTS}")
    await ensure_topology(client.bus)
    await nats_server.restart()
    await wait_for(lambda: client.bus.connected, what="the connection")
    for job in (one, two):
        scheduler.add_job(job, run_size=2)
    for event in (started(one), started(two), ended(one, "passed"), ended(two, "passed")):
        await scheduler.publish_event(event)
    assert (await asyncio.wait_for(waiting, 15)).verdict == 0
