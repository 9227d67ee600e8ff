"""Pauses and limits on a whole system, over kills of the leader."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bus_schemas.events import Ended
from bus_schemas.queries import Overview
from bus_schemas.streams import SETTINGS_BUCKET
from qgjob.bus import kv
from qgjob.errors import UsageError
from tests.support.lab_system import Lab, ends, kill_leader, lab, run_of
from tests.support.pipeline import EventRecorder, overview
from tests.support.runs import submit
from tests.support.standstill import standing_still
from tests.support.wait import wait_for


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


def most_at_once(witness: EventRecorder, jobs: set[str]) -> int:
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


async def test_an_old_leaders_last_word_on_the_rules_is_heard(shared_lab: Lab) -> None:
    _, bus, client, witness = shared_lab
    await client.pause_queue(org_id="bench")
    await kv.delete(bus, SETTINGS_BUCKET, "rules")
    await submit(bus, run_of(1))
    await ends(witness, 1)


async def test_rules_that_make_no_sense_are_refused_with_a_sentence(shared_lab: Lab) -> None:
    _, _bus, client, _witness = shared_lab
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
        async with standing_still(running.pids()["scheduler"]):
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
        assert said == b"The scheduler has not answered yet; still waiting.\n"
        out, rest = await asyncio.wait_for(asking.communicate(), 40)
        assert (asking.returncode, rest) == (0, b"")
        assert out.startswith(b"Paused the whole queue")

        async def paused() -> bool:  # it may begin a new reign first
            return [pause.org_id for pause in (await client.overview()).pauses] == [None]

        await wait_for(paused, 30, "the pause")
