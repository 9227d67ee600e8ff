"""What was asked of many jobs at once is done to all of them, though the leader is killed in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus_schemas.control import CtlAnswer
from bus_schemas.events import Ended, Event, Reprioritised, Retrying
from bus_schemas.streams import ORDERS_BUCKET
from qgjob.bus.connect import Bus
from qgjob.client import Client
from qgjob.local.ports import free_port
from qgjob.local.system import LocalSystem
from tests.support.lab_system import Lab, lab
from tests.support.pipeline import SHORT_ACK_WAIT, EventRecorder, counts_reached
from tests.support.proxy import Proxy
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

JOBS = 600
MANY = 2500
BEGUN = 100
"""About so many jobs were reached when the leader is killed."""


@dataclass
class FragileLab:
    """One whose leader speaks to the server through a proxy, and can be stopped in the middle of what it says."""

    proxy: Proxy
    running: LocalSystem
    bus: Bus
    client: Client
    witness: EventRecorder

    async def killed_in_the_middle(
        self, act: Awaitable[CtlAnswer], what: type[Event], *, goes: bool
    ) -> CtlAnswer | None:
        """Kill the leader while it carries a request out; `goes`: whoever asked goes away at that moment."""
        before = reached(self.witness, what)
        self.proxy.hold(f'"kind":"{what.model_fields["kind"].default}"'.encode(), BEGUN)
        asking = asyncio.ensure_future(act)
        async with asyncio.timeout(60):
            await self.proxy.held.wait()
        await wait_for(lambda: reached(self.witness, what) > before, 20, "a request that has begun")
        os.kill(self.running.pids()["scheduler"], signal.SIGKILL)
        self.proxy.cut()
        assert reached(self.witness, what) < before + JOBS, "it was carried out before the kill"
        if goes:
            asking.cancel()
            await asyncio.wait([asking])
            return None
        return await asking


@contextlib.asynccontextmanager
async def fragile(folder: Path) -> AsyncGenerator[FragileLab]:
    port = free_port()
    async with Proxy(port) as proxy:
        through = (*SHORT_ACK_WAIT, "--server", proxy.url)
        async with lab(folder, port=port, scheduler_args=through) as parts:
            yield FragileLab(proxy, *parts)


async def queued(bus: Bus, client: Client) -> tuple[str, set[str]]:
    """A run of many jobs of which none may start."""
    await client.pause_queue()
    run = planned(JOBS, runner="noop")
    await submit(bus, run)
    await counts_reached(bus, run.run_id, {"queued": JOBS})
    return run.run_id, {spec.job_id for spec in run.specs}


async def nothing_is_kept(bus: Bus) -> None:
    async def forgotten() -> bool:
        info = await bus.requests.api(f"STREAM.INFO.KV_{ORDERS_BUCKET}", {"subjects_filter": ">"})
        return not info["state"].get("messages")

    await wait_for(forgotten, 20, "an order that was carried out to be forgotten")


@pytest.mark.parametrize("goes", [True, False], ids=["the asker is gone", "the asker waits"])
async def test_a_cancel_is_carried_out_by_the_next_leader(tmp_path: Path, goes: bool) -> None:
    async with fragile(tmp_path) as it:
        bus, client, witness = it.bus, it.client, it.witness
        run_id, jobs = await queued(bus, client)
        answer = await it.killed_in_the_middle(client.cancel(run_id), Ended, goes=goes)
        await counts_reached(bus, run_id, {"cancelled": JOBS})
        await wait_for(lambda: len(witness.ends) == JOBS, 30, "all ends heard")
        assert set(witness.ends.values()) == {1}
        if answer is not None:
            assert set(answer.affected) == jobs, "those that the dead leader cancelled are cancelled too"
            assert answer.already == ()
        await nothing_is_kept(bus)
        assert (await client.cancel(run_id)).affected == ()


async def test_a_retry_is_carried_out_by_the_next_leader(tmp_path: Path) -> None:
    async with fragile(tmp_path) as it:
        bus, client = it.bus, it.client
        run_id, jobs = await queued(bus, client)
        await client.cancel(run_id)
        await counts_reached(bus, run_id, {"cancelled": JOBS})
        answer = await it.killed_in_the_middle(client.retry(run_id), Retrying, goes=False)
        await counts_reached(bus, run_id, {"queued": JOBS})
        assert answer is not None
        assert set(answer.affected) == jobs
        views = (await client.run(run_id)).jobs
        assert {len(view.attempts) for view in views} == {1}, "the second is only queued, and no third"
        await nothing_is_kept(bus)
        await client.cancel(run_id)


async def test_another_priority_is_given_by_the_next_leader(tmp_path: Path) -> None:
    async with fragile(tmp_path) as it:
        bus, client = it.bus, it.client
        run_id, _ = await queued(bus, client)
        await it.killed_in_the_middle(client.reprioritise(run_id, 9), Reprioritised, goes=True)

        async def shown() -> bool:
            return {view.priority for view in (await client.run(run_id)).jobs} == {9}

        await wait_for(shown, 60, "the new priority on every job")
        await nothing_is_kept(bus)
        await client.cancel(run_id)


async def test_a_run_that_is_still_being_read_in_is_cancelled_as_a_whole(shared_lab: Lab) -> None:
    _, bus, client, _witness = shared_lab
    await client.pause_queue()
    run = planned(MANY, runner="noop")
    await submit(bus, run)
    answer = await client.cancel(run.run_id)
    assert set(answer.affected) == {spec.job_id for spec in run.specs}
    await counts_reached(bus, run.run_id, {"cancelled": MANY})
    behind, last = planned(MANY, runner="noop"), planned(1, runner="noop")
    await submit(bus, behind)
    await submit(bus, last)
    assert len((await client.reprioritise(behind.run_id, 9)).affected) == MANY
    job = last.specs[0].job_id
    assert (await client.cancel(job)).affected == (job,)
    await client.cancel(behind.run_id)


def reached(witness: EventRecorder, kind: type[Event]) -> int:
    """How many jobs have an event of a kind."""
    return sum(any(isinstance(event, kind) for event in events) for events in witness.events.values())
