"""An agent that stood still: what others took over from it meanwhile stays theirs when it wakes up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.attempts.claim import claim
from agent.attempts.identity import Identity
from bus_schemas.events import Ended, Started, TakenOver
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import chain_subject, read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.requester import RequestTimeoutError
from tests.support.faulty_runners import PLUGINS
from tests.support.pipeline import EventRecorder, counts_reached, system
from tests.support.runs import planned, submit
from tests.support.standstill import standing_still
from tests.support.wait import wait_for


async def both_pull(bus: Bus) -> None:
    """Let both agents work for the group: what one of them does not do comes to the other as soon as its lease ends."""
    warm = planned(4, runner="sleep", argv=("0.5",))
    await submit(bus, warm)
    await counts_reached(bus, warm.run_id, {"passed": 4})


async def test_who_wakes_up_without_its_lease_takes_nothing_from_whoever_has_the_job_now(
    tmp_path: Path,
) -> None:
    async with (
        system(tmp_path, agents=2, slots=1, plugins=PLUGINS) as (running, bus),
        EventRecorder().watching(bus) as witness,
    ):
        await both_pull(bus)
        go_on = tmp_path / "go on"
        run = planned(1, runner="until", argv=(str(go_on),))
        (job,) = (spec.job_id for spec in run.specs)

        def links() -> list[Started]:
            return [event for event in witness.events[job] if isinstance(event, Started)]

        await submit(bus, run)
        first = (await wait_for(links, 20, "the job to start"))[0]
        pid = running.pids()[f"agent-{first.agent}"]
        async with standing_still(pid):
            try:
                await wait_for(lambda: len(links()) == 2, 30, "the other agent to take it over")
            finally:
                go_on.touch()  # for both of them at the same time
        await counts_reached(bus, run.run_id, {"passed": 1})
        assert [(link.agent, isinstance(link, TakenOver)) for link in links()] == [
            (first.agent, False),
            (links()[1].agent, True),
        ]
        (end,) = (event for event in witness.events[job] if isinstance(event, Ended))
        assert end.result.agent == links()[1].agent != first.agent


async def test_what_came_while_it_stood_still_may_be_somebody_elses_by_now(tmp_path: Path) -> None:
    async with (
        system(tmp_path, agents=2, slots=1) as (running, bus),
        EventRecorder().watching(bus) as witness,
    ):
        await both_pull(bus)
        run = planned(2, runner="sleep", argv=("4",))
        jobs = [spec.job_id for spec in run.specs]

        def links(job: str) -> list[Started]:
            return [event for event in witness.events[job] if isinstance(event, Started)]

        async with standing_still(running.pids()["agent-local-1"]):
            await submit(bus, run)
            await wait_for(lambda: all(map(links, jobs)), 30, "the other agent to have both in turn")
        await counts_reached(bus, run.run_id, {"passed": 2})
        assert [[link.agent for link in links(job)] for job in jobs] == [["local-2"], ["local-2"]]


async def test_a_claim_that_took_longer_than_its_lease_takes_nothing_over(bus: Bus) -> None:
    message = JobMessage(spec=planned(1, runner="noop").specs[0])
    a, b = Identity("a", "s0", "d0"), Identity("b", "s0", "d0")
    held = await claim(bus, message, a, "running")
    assert held is not None
    now = asyncio.get_running_loop().time()
    with pytest.raises(RequestTimeoutError, match="a/s0"):
        await claim(bus, message, b, "running", ours_until=now)
    link, seq = await read_chain(bus, chain_subject(message))
    assert isinstance(link, Started)
    assert (link.agent, seq) == ("a", held.seq)
    assert await claim(bus, message, b, "running", ours_until=now + 60) is not None
