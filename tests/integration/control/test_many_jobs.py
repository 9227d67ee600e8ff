"""What is asked of several jobs goes in one request, and is done to each as if it had been asked for alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from bus_schemas import subjects
from bus_schemas.control import MAX_ALSO
from bus_schemas.streams import ORDERS_BUCKET
from qgjob.bus.connect import Bus
from qgjob.bus.topology import stream_state
from qgjob.client import Client
from tests.support.lab_system import Lab, lab
from tests.support.pipeline import counts_reached
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg


@contextlib.asynccontextmanager
async def asked(bus: Bus) -> AsyncGenerator[list[str]]:
    """The control requests of a block, by verb; one that takes long is asked for again, and counts once."""
    verbs: list[str] = []
    known: set[bytes] = set()

    async def hear(msg: Msg) -> None:
        if msg.data not in known:
            verbs.append(msg.subject.split(".")[2])
        known.add(msg.data)

    subscription = await bus.nc.subscribe(subjects.CTL_ALL, cb=hear)
    yield verbs
    await subscription.unsubscribe()


async def waiting(bus: Bus, client: Client, count: int) -> tuple[str, list[str]]:
    """A run of jobs that no slot can run."""
    run = planned(count, runner="noop", requires=("nowhere",))
    await submit(bus, run)
    await counts_reached(bus, run.run_id, {"queued": count})
    return run.run_id, [spec.job_id for spec in run.specs]


async def test_several_jobs_are_cancelled_and_tried_again_by_one_request_each(shared_lab: Lab) -> None:
    _, bus, client, witness = shared_lab
    run_id, jobs = await waiting(bus, client, 30)
    async with asked(bus) as verbs:
        answer = await client.cancel_jobs([*jobs[:20], "j_nobody", jobs[0]], reason="wrong build")
        assert answer.affected == tuple(jobs[:20])
        ((refused,),) = [answer.refused]
        assert (refused.ids, refused.message) == (("j_nobody",), "There is no job or run j_nobody.")
        await counts_reached(bus, run_id, {"cancelled": 20, "queued": 10})
        assert (await client.job(jobs[3])).message == "wrong build"
        again = await client.cancel_jobs(jobs)
        assert (set(again.affected), set(again.already)) == (set(jobs[20:]), set(jobs[:20]))
        await counts_reached(bus, run_id, {"cancelled": 30})
        retried = await client.retry_jobs(jobs[:5])
        assert retried.affected == tuple(jobs[:5])
        assert (await client.retry_jobs(jobs[4:6])).already == (jobs[4],)
        await counts_reached(bus, run_id, {"cancelled": 24, "queued": 6})
    assert verbs == ["cancel", "cancel", "retry", "retry"]
    assert sum(witness.ends.values()) == 30


async def test_several_jobs_are_given_another_priority_by_one_request(shared_lab: Lab) -> None:
    _, bus, client, __ = shared_lab
    run_id, jobs = await waiting(bus, client, 10)
    await client.cancel(jobs[0])
    async with asked(bus) as verbs:
        answer = await client.reprioritise_jobs(jobs[:4], 9)
    assert verbs == ["reprioritise"]
    assert (answer.affected, answer.already) == (tuple(jobs[1:4]), (jobs[0],))

    async def shown() -> bool:
        return [view.priority for view in (await client.run(run_id)).jobs] == [5, 9, 9, 9, *[5] * 6]

    await wait_for(shown, 20, "the new priorities")


async def test_many_jobs_go_in_few_requests_and_none_is_asked_for_twice(shared_lab: Lab) -> None:
    _, bus, client, witness = shared_lab
    run_id, jobs = await waiting(bus, client, 2 * MAX_ALSO)
    async with asked(bus) as verbs:
        answer = await client.cancel_jobs(jobs)
    assert answer.affected == tuple(jobs)
    assert verbs == ["cancel", "cancel"]
    await counts_reached(bus, run_id, {"cancelled": len(jobs)})
    assert set(witness.ends.values()) <= {1}


async def test_what_is_asked_of_several_jobs_is_done_by_the_next_leader(tmp_path: Path) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        run_id, jobs = await waiting(bus, client, MAX_ALSO)
        cancelling = asyncio.create_task(client.cancel_jobs(jobs))

        async def kept() -> bool:
            return (await stream_state(bus, f"KV_{ORDERS_BUCKET}"))["messages"] > 0 or cancelling.done()

        await wait_for(kept, 20, "the request to be kept")
        os.kill(running.pids()["scheduler"], signal.SIGKILL)
        answer = await cancelling
        assert set(answer.affected) == set(jobs), "those that the dead leader cancelled are cancelled too"
        await counts_reached(bus, run_id, {"cancelled": len(jobs)})
        await wait_for(lambda: len(witness.ends) == len(jobs), 30, "all ends heard")
        assert set(witness.ends.values()) == {1}
