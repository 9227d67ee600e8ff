"""A cancel of a run that comes while its last part is being read concerns all of the run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from qgjob.bus.connect import Bus
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.scheduler.intake import intake
from qgjob.scheduler.intake.intake import Intake
from tests.support.lab_system import leader_overview
from tests.support.pipeline import EventRecorder, overview
from tests.support.runs import part_of, planned
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg

JOBS, PARTS = 40, 2


async def test_it_waits_for_the_rest(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(JOBS, runner="noop")
    last_part = {spec.job_id for spec in run.specs[JOBS // PARTS :]}
    half_read, asked, on = asyncio.Event(), asyncio.Event(), asyncio.Event()
    take_all, reads = Intake._handle_batch, Intake.is_incomplete  # pyright: ignore[reportPrivateUsage]

    async def halting(self: Intake, msgs: list[Msg]) -> object:
        taken = await take_all(self, msgs)
        if 0 < len(last_part & self.backlog.entries.keys()) < len(last_part):
            half_read.set()
            await on.wait()
        return taken

    def noting(self: Intake, run_id: str) -> bool:
        answer = reads(self, run_id)
        if half_read.is_set():
            asked.set()
        return answer

    monkeypatch.setattr(intake, "_BATCH", 4)
    monkeypatch.setattr(Intake, "_handle_batch", halting)
    monkeypatch.setattr(Intake, "is_incomplete", noting)

    async with scheduling(nats_server, valkey_server), EventRecorder().watching(bus) as witness:
        await leader_overview(bus)  # what a leader finds waiting it reads before it answers anybody
        for part in range(PARTS):
            await part_of(bus, run, part, parts=PARTS)
        async with asyncio.timeout(20):
            await half_read.wait()
        cancel = asyncio.create_task(Client(bus, SystemClock()).cancel(run.run_id))
        async with asyncio.timeout(20):
            await asked.wait()
        on.set()
        cancelled = await cancel
        assert len(cancelled.affected) == JOBS
        await wait_for(lambda: len(witness.ends) == JOBS, 20, "the end of each job")
        seen = await overview(bus)
        assert seen is not None
        assert seen.waiting == 0
