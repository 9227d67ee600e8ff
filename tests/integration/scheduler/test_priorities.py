"""What priorities were given after the submit is known for as long as somebody may need it, and no longer."""

from __future__ import annotations

import asyncio

from bus_schemas.rules import PriorityMark
from bus_schemas.streams import EVENTS_KEPT_S, PRIORITIES_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.publisher import Publisher
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.control.bulk import Operation
from qgjob.scheduler.control.priorities import Priorities
from qgjob.scheduler.queries.lookup import KnownJobs
from tests.support.clock import ManualClock

NOW = 1_790_000_000.0


async def unknown(_id: str) -> KnownJobs | None:
    return None


async def arrived(_id: str, _carrying: Operation) -> None:
    """Everything has."""


async def recalled(bus: Bus, clock: ManualClock, backlog: Backlog, given: dict[str, float]) -> Priorities:
    """Priorities of a reign that found these: priority 9, given so long ago."""
    for name, ago_s in given.items():
        mark = PriorityMark(id=name, priority=9, by="ann", at=clock.now() - ago_s)
        await kv.put(bus, PRIORITIES_BUCKET, name, mark.encode())
    priorities = Priorities(
        bus, clock, backlog, Publisher(bus), lambda *_: None, unknown, arrived, asyncio.Event()
    )
    await priorities.load()
    return priorities


def entry(job_id: str, run_id: str) -> Entry:
    return Entry(job_id, run_id, "acme", 1, b"", 1, None)


async def test_what_is_over_for_good_is_forgotten(bus: Bus) -> None:
    clock, backlog = ManualClock(NOW), Backlog()
    backlog.add(entry("j_waits", "r_other"))
    backlog.add(entry("j_of_run", "r_waits"))
    old = EVENTS_KEPT_S + 7200.0
    given = {"j_waits": old, "r_waits": old, "j_over": old, "r_over": old, "j_recent": 60.0}
    priorities = await recalled(bus, clock, backlog, given)

    def known() -> set[str]:
        return {name for name in given if priorities.priority_of(name, "-", 5) == 9}

    over = priorities.forget(())
    assert known() == set(given), "between two attempts a job stands nowhere for a moment"
    priorities.forget(over)
    assert known() == {"j_waits", "r_waits", "j_recent"}, "what ended lately may be retried"
    assert priorities.priority_of("j_of_run", "r_waits", 5) == 9
    clock.advance(2 * old)
    backlog.drop("j_waits", 1)
    backlog.drop("j_of_run", 1)
    priorities.forget(priorities.forget(()))
    assert known() == set()


async def test_a_job_that_came_back_keeps_its_priority(bus: Bus) -> None:
    clock, backlog = ManualClock(NOW), Backlog()
    priorities = await recalled(bus, clock, backlog, {"j_1": EVENTS_KEPT_S + 7200.0})
    over = priorities.forget(())
    backlog.add(entry("j_1", "r_1"))
    over = priorities.forget(over)
    backlog.drop("j_1", 1)
    priorities.forget(over)
    assert priorities.priority_of("j_1", "r_1", 5) == 9
