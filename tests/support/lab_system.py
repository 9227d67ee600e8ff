"""A whole system that is controlled by requests, over kills of its leader."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bus_schemas.queries import JobView, Overview
from qgjob.bus.connect import Bus
from qgjob.client import Client
from qgjob.client.submitting.publish_run import PlannedRun
from qgjob.clock import SystemClock
from qgjob.local.system import LocalSystem
from tests.support.pipeline import EventRecorder, overview, system
from tests.support.runs import planned
from tests.support.wait import wait_for

Lab = tuple[LocalSystem, Bus, Client, EventRecorder]
"""A system, a client of it, and a witness of what happens there."""


@contextlib.asynccontextmanager
async def lab(folder: Path, **options: Any) -> AsyncGenerator[Lab]:
    """A system with one slot unless told otherwise, a client of it, and a witness of all events."""
    given: dict[str, Any] = {"slots": 1, "agents": 1, **options}
    async with system(folder, **given) as (running, bus), EventRecorder().watching(bus) as witness:
        yield running, bus, Client(bus, SystemClock()), witness


def run_of(count: int, *, seconds: float = 0.05, **spec: object) -> PlannedRun:
    """A run whose jobs take so long each."""
    run = planned(count, runner="sleep", argv=(str(seconds),))
    return replace(run, specs=[job.model_copy(update=spec) for job in run.specs]) if spec else run


async def job_in_state(client: Client, job_id: str, *states: str) -> JobView:
    """The job, once it is in one of these states."""

    async def in_state() -> list[JobView]:
        job = await client.job(job_id)
        assert job.state in states, job
        return [job]

    return (await wait_for(in_state, 30, f"{job_id} {states}"))[0]


async def kill_leader(running: LocalSystem, bus: Bus) -> None:
    """SIGKILL the only scheduler and wait until its successor has told how things are."""
    epoch = (await leader_overview(bus)).leader
    os.kill(running.pids()["scheduler"], signal.SIGKILL)

    async def succeeded() -> bool:
        seen = await overview(bus)
        return seen is not None and seen.leader is not None and seen.leader != epoch

    await wait_for(succeeded, 30, "another reign")


async def leader_overview(bus: Bus) -> Overview:
    """What a leader says of the lab, once there is one."""

    async def current() -> list[Overview]:
        seen = await overview(bus)
        return [seen] if seen is not None and seen.leader is not None else []

    return (await wait_for(current, 30, "a leader's word"))[0]


async def ends(witness: EventRecorder, count: int) -> None:
    """Until so many attempts have ended for good."""
    await wait_for(lambda: sum(witness.ends.values()) >= count, 60, f"{count} ends")
