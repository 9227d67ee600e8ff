"""What waited too long ends as expired, also when that could not be written at first."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable

import pytest

from agent.attempts.claim import claim
from agent.attempts.identity import Identity
from bus_schemas import streams
from bus_schemas.events import Attempt, Ended, Queued
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus
from qgjob.client import Client, SubmitRequest, Submitted
from qgjob.clock import SystemClock
from qgjob.scheduler.attempts import reaper
from qgjob.scheduler.leadership.server_clock import ServerClock
from tests.support.pipeline import EventRecorder, overview
from tests.support.scheduling import scheduling as scheduling_in
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

AN_HOUR_S = 3600.0
Pass = Callable[[], None]


@pytest.fixture
async def an_hour_passes(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Pass]:
    """A scheduler within this process, which looks after what is left undone at once, and what sets its clock on."""
    monkeypatch.setattr(reaper, "_EVERY_S", 0.1)
    monkeypatch.setattr(reaper, "_PATIENCE_S", 0.1)
    passed, now = 0.0, ServerClock.now

    def passes() -> None:
        nonlocal passed
        passed += AN_HOUR_S

    monkeypatch.setattr(ServerClock, "now", lambda clock: now(clock) + passed)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    async with scheduling_in(nats_server, valkey_server, ack_wait_s=0.5):
        yield passes


@contextlib.asynccontextmanager
async def no_events_stored(bus: Bus) -> AsyncGenerator[None]:
    info = await bus.requests.api(f"STREAM.INFO.{streams.EVENTS}")
    await bus.requests.api(f"STREAM.UPDATE.{streams.EVENTS}", {**info["config"], "max_msg_size": 10})
    try:
        yield
    finally:
        await bus.requests.api(f"STREAM.UPDATE.{streams.EVENTS}", info["config"])


async def queued(bus: Bus, witness: EventRecorder, expires_s: float) -> Submitted:
    """A job that no slot can run, and of which an event told."""
    client = Client(bus, SystemClock())
    request = SubmitRequest(org_id="acme", app_version_id="1", tests=["a.py"], expires_s=expires_s)
    submitted = await client.submit(request)
    await wait_for(lambda: submitted.jobs[0].job_id in witness.events, 20, "the job to be queued")
    return submitted


async def test_an_expiry_that_could_not_be_written_is_one_later(
    bus: Bus, an_hour_passes: Pass, caplog: pytest.LogCaptureFixture
) -> None:
    async with EventRecorder().watching(bus) as witness:
        submitted = await queued(bus, witness, expires_s=AN_HOUR_S)
        (job_id,) = (job.job_id for job in submitted.jobs)
        async with no_events_stored(bus):
            an_hour_passes()
            await wait_for(lambda: caplog.text.count("could not be ended") >= 1, 20, "a write to fail")
            assert not witness.ends[job_id]
        await wait_for(lambda: witness.ends[job_id], 20, "the end")
        (end,) = (event for event in witness.events[job_id] if isinstance(event, Ended))
        assert (end.state, end.result.outcome, end.result.reason) == ("expired", "expired", "queue_expiry")
        assert end.result.message == "it waited longer than it may"


async def test_what_was_to_expire_and_is_cancelled_meanwhile_is_cancelled(
    bus: Bus, an_hour_passes: Pass, caplog: pytest.LogCaptureFixture
) -> None:
    async with EventRecorder().watching(bus) as witness:
        submitted = await queued(bus, witness, expires_s=AN_HOUR_S)
        (job_id,) = (job.job_id for job in submitted.jobs)
        async with no_events_stored(bus):
            an_hour_passes()
            await wait_for(lambda: "could not be ended" in caplog.text, 20, "a write to fail")
            cancelling = asyncio.create_task(Client(bus, SystemClock()).cancel(job_id, reason="enough"))
            with contextlib.suppress(Exception):  # it says that it could not be done
                await cancelling
        await wait_for(lambda: witness.ends[job_id], 20, "the end")
        (end,) = (event for event in witness.events[job_id] if isinstance(event, Ended))
        assert (end.state, end.result.message) == ("cancelled", "enough")


async def test_what_somebody_holds_does_not_expire(bus: Bus, an_hour_passes: Pass) -> None:
    """As when it was released before a fault that made it wait once more."""
    async with EventRecorder().watching(bus) as witness:
        submitted = await queued(bus, witness, expires_s=AN_HOUR_S)
        (job_id,) = (job.job_id for job in submitted.jobs)
        (told,) = (event for event in witness.events[job_id] if isinstance(event, Queued))
        held = await claim(bus, JobMessage(spec=told.spec), Identity("a", "s0", "d0"), "running")
        assert held is not None
        an_hour_passes()

        async def waits_no_more() -> bool:
            seen = await overview(bus)
            return seen is not None and seen.waiting == 0

        await wait_for(waits_no_more, 20, "its time to be over")
        result = Attempt(number=1, agent="a", slot="s0", finished_at=time.time(), outcome="passed")
        assert await held.end("passed", result) == "recorded"
        await wait_for(lambda: witness.ends[job_id], 20, "the end to be heard")
        assert [event.kind for event in witness.events[job_id]] == ["queued", "started", "ended"]


class Ahead(SystemClock):
    """Of a machine whose clock was set wrong."""

    def now(self) -> float:
        return super().now() + 86_400


async def test_a_leader_whose_clock_is_a_day_ahead_lets_nothing_expire_before_its_time(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        EventRecorder().watching(bus) as witness,
        scheduling_in(nats_server, valkey_server, clock=Ahead()),
    ):
        patient = await queued(bus, witness, expires_s=43_200.0)
        hurried = await queued(bus, witness, expires_s=1.0)
        await wait_for(
            lambda: witness.ends[hurried.jobs[0].job_id], 20, "the one whose time is over to expire"
        )
        assert not witness.ends[patient.jobs[0].job_id]
        assert "ahead of the server's" in caplog.text
