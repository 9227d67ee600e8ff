"""Explain, between what placement holds and what the events tell."""

from __future__ import annotations

import pytest

from bus_schemas.queries import JobState
from qgjob.bus.connect import Bus
from qgjob.client.ids import new_ids
from qgjob.domain.history import JobDoc
from qgjob.domain.placement.core import apply_event
from qgjob.domain.placement.events import JobArrived, JobWithdrawn
from qgjob.domain.placement.model import LabState
from qgjob.errors import NotFoundError
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.control.explainer import Explainer
from qgjob.scheduler.queries.lookup import KnownJobs
from tests.support.clock import ManualClock
from tests.support.placement import job


@pytest.mark.parametrize(("attempt", "state"), [(3, "errored"), (4, "queued")])
async def test_an_attempt_whose_end_is_known_does_not_wait_though_it_was_found_in_the_backlog(
    bus: Bus, attempt: int, state: str
) -> None:
    """As after a crash between an end and the last acknowledgement; a later attempt does wait."""
    clock, placement = ManualClock(), LabState()
    apply_event(placement, JobArrived(job(1, attempt=attempt)), clock.now(), [])
    doc = JobDoc("j1", "r1", "o", state="errored", attempt=3, message="this machine has no Maestro")

    async def known(any_id: str) -> KnownJobs:
        return KnownJobs([doc])

    explaining = Explainer(bus, clock, placement, Backlog(), known)
    answer = await explaining.explain(b'{"v": 1, "job_id": "j1"}')
    assert (answer.state, answer.attempt) == (state, attempt)


@pytest.mark.parametrize(("then", "said"), [("passed", "It ended passed"), ("running", "No slot has it")])
async def test_a_job_that_ends_while_it_is_explained_is_not_said_to_wait(
    bus: Bus, then: JobState, said: str
) -> None:
    """Its events are read first, and what placement holds last: by then its end was heard."""
    states: list[JobState] = ["running", then]

    async def known(any_id: str) -> KnownJobs:
        return KnownJobs([JobDoc(any_id, "r1", "o", state=states.pop(0))])

    explaining = Explainer(bus, ManualClock(), LabState(), Backlog(), known)
    answer = await explaining.explain(b'{"v": 1, "job_id": "j1"}')
    assert answer.state == then
    assert answer.summary.startswith(said)


async def test_of_a_run_its_first_job_that_waits_is_explained_and_no_job_is_looked_for(bus: Bus) -> None:
    """A run may have very many: only the leader's memory is asked which it is."""
    clock, placement, backlog = ManualClock(), LabState(), Backlog()
    asked: list[str] = []

    async def known(any_id: str) -> KnownJobs | None:
        asked.append(any_id)
        return None

    for number in (7, 3, 5, 1):
        apply_event(placement, JobArrived(job(number)), clock.now(), [])
        backlog.add(Entry(f"j{number}", "r1", "o", 1, b"", number, None))
    explaining = Explainer(bus, clock, placement, backlog, known)
    for first in ("j1", "j3"):
        answer = await explaining.explain(b'{"v": 1, "job_id": "r1"}')
        assert (answer.job_id, answer.state) == (first, "queued")
        apply_event(placement, JobWithdrawn(first), clock.now(), [])
        backlog.drop(first, 1)
    assert asked == ["j1", "j3"]
    with pytest.raises(NotFoundError):
        await explaining.explain(b'{"v": 1, "job_id": "%s"}' % new_ids("run", 1, clock.now())[0].encode())
    assert len(asked) == 2
