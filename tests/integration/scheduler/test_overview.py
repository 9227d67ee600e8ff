"""The overview is for looking: whatever happens to it, jobs go on."""

from __future__ import annotations

import asyncio
import contextlib

from bus_schemas import subjects
from bus_schemas.jobs import JobMessage
from bus_schemas.rules import QueueRules
from qgjob.bus.connect import Bus
from qgjob.clock import SystemClock
from qgjob.domain.placement.events import Effect, JobArrived, JobWasReleased, JobWithdrawn, RulesChanged
from qgjob.domain.placement.rules import Pause, Rules
from qgjob.scheduler.backlog.entries import placement_job
from qgjob.scheduler.dispatch.holds import Holds
from qgjob.scheduler.dispatch.lab import Lab
from qgjob.scheduler.leadership.election import Mandate
from qgjob.scheduler.queries.overview import OverviewPublisher
from tests.support.views import spec


def unheard(effect: Effect) -> None:
    """Nothing is placed here."""


async def test_an_overview_that_cannot_be_made_is_left_out_and_the_next_is_published(bus: Bus) -> None:
    clock, failed = SystemClock(), 0

    def ended() -> dict[str, int]:
        nonlocal failed
        if failed < 2:
            failed += 1
            lab.changed = True
            raise ValueError("a fault of ours")
        return {"passed": 3}

    lab = Lab(clock, unheard, unheard, unheard)
    holds = Holds(bus, clock, 1, lab.state, lab.feed, {})
    mandate = Mandate("a", 1, 1.0)
    publisher = OverviewPublisher(bus, clock, lab, mandate, ended, lambda: 0, QueueRules, holds)
    subscription = await bus.nc.subscribe(subjects.LIVE_OVERVIEW)
    running = asyncio.create_task(publisher.run())
    try:
        message = await subscription.next_msg(timeout=20)
        assert b'"passed":3' in message.data
        assert failed == 2
        assert not running.done()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_the_oldest_job_is_found_behind_more_urgent_ones(bus: Bus) -> None:
    clock = SystemClock()
    lab = Lab(clock, unheard, unheard, unheard)
    now = clock.now()
    for place, (priority, waited_s) in enumerate(((1, 7200.0), (9, 1.0))):
        message = JobMessage(spec=spec(job_id=f"j_{place}", priority=priority))
        lab.feed(JobArrived(placement_job(message, now - waited_s, place)))
    holds = Holds(bus, clock, 1, lab.state, lab.feed, {})
    mandate = Mandate("a", 1, 1.0)
    overview = OverviewPublisher(bus, clock, lab, mandate, dict, lambda: 0, QueueRules, holds).now()
    (group,) = overview.groups
    assert min(overview.oldest_wait_s or 0.0, group.oldest_wait_s or 0.0) >= 7200.0


async def test_the_oldest_job_is_found_where_operators_paused_it(bus: Bus) -> None:
    clock = SystemClock()
    lab = Lab(clock, unheard, unheard, unheard)
    now = clock.now()
    for org, waited_s in (("acme", 7200.0), ("other", 1.0)):
        message = JobMessage(spec=spec(job_id=f"j_{org}", org_id=org))
        lab.feed(JobArrived(placement_job(message, now - waited_s, 1)))
    lab.feed(RulesChanged(Rules(pauses=(Pause(org_id="acme"),))))
    holds = Holds(bus, clock, 1, lab.state, lab.feed, {})
    mandate = Mandate("a", 1, 1.0)
    overview = OverviewPublisher(bus, clock, lab, mandate, dict, lambda: 0, QueueRules, holds).now()
    assert (overview.oldest_wait_s or 0.0) >= 7200.0
    assert max(view.oldest_wait_s or 0.0 for view in overview.groups) >= 7200.0


async def test_what_waits_for_others_of_its_run_is_counted_in_its_group_and_by_its_age(bus: Bus) -> None:
    clock = SystemClock()
    lab = Lab(clock, unheard, unheard, unheard)
    now = clock.now()
    for place, (waited_s, priority, requires) in enumerate(
        ((60.0, 9, ()), (7200.0, 5, ()), (30.0, 5, ()), (10.0, 5, ("nfc",)))
    ):
        of_run = {"run_id": "r_1", "max_parallel": 1, "priority": priority, "requires": requires}
        message = JobMessage(spec=spec(job_id=f"j_{place}", **of_run))
        lab.feed(JobArrived(placement_job(message, now - waited_s, place)))
    key = lab.state.jobs["j_0"].group
    lab.feed(JobWithdrawn("j_0"), JobWasReleased(lab.state.jobs["j_0"], None))
    holds = Holds(bus, clock, 1, lab.state, lab.feed, {})
    mandate = Mandate("a", 1, 1.0)
    overview = OverviewPublisher(bus, clock, lab, mandate, dict, lambda: 0, QueueRules, holds).now()
    assert {view.group.capability: (view.waiting, view.released) for view in overview.groups} == {
        key.capability: (2, 1),
        "nfc": (1, 0),
    }
    assert (overview.oldest_wait_s or 0.0) >= 7200.0
    assert sum(view.waiting for view in overview.groups) == overview.waiting == overview.held
