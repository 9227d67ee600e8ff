"""A system for the tests that neither kill nor stop any part of it: to start one takes longer than most of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import get_args

import pytest
from anyio.from_thread import start_blocking_portal

from bus_schemas import streams
from bus_schemas.queries import JobState
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.topology import stream_state
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.domain.lifecycle import TERMINAL
from qgjob.local.system import LocalSystem
from tests.support.lab_system import Lab
from tests.support.pipeline import EventRecorder, overview, system
from tests.support.wait import wait_for


@pytest.fixture(scope="package")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """One slot. It runs in a thread: each test has another event loop."""
    starting = system(tmp_path_factory.mktemp("shared"), slots=1, agents=1)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(starting) as (running, _):
        yield running


@pytest.fixture
async def shared_lab(shared_system: LocalSystem) -> AsyncIterator[Lab]:
    """As `lab`, with a system in which nothing waits or runs, and a witness of what happens from now on."""
    async with open_bus(ServerOptions(url=shared_system.server, name="test")) as bus:
        client, behind = Client(bus, SystemClock()), (await stream_state(bus, streams.EVENTS))["last_seq"] + 1
        async with EventRecorder().watching(bus, start_seq=behind) as witness:
            yield shared_system, bus, client, witness
        for schedule in await client.schedules():
            await client.delete_schedule(schedule.schedule_id)
        await wait_for(lambda: _emptied(bus, client), 30, "nothing that waits or runs")
        await client.resume_queue()


async def _emptied(bus: Bus, client: Client) -> bool:
    states = [state for state in get_args(JobState) if state not in TERMINAL]
    left = [job.job_id for state in states for job in await client.jobs(state=state, limit=10_000)]
    if left:
        await client.cancel_jobs(left)
    seen = await overview(bus)
    assert seen is not None
    assert (seen.waiting, seen.delayed, seen.running, seen.slots_idle) == (0, 0, 0, 1), seen
    return not left
