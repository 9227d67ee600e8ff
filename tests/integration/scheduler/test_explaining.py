"""Explain, between what placement holds and what the events tell."""

from __future__ import annotations

import pytest

from qgjob.bus.connect import Bus
from qgjob.clock import ManualClock
from qgjob.domain.history import JobDoc
from qgjob.domain.placement.core import note
from qgjob.domain.placement.model import JobArrived, LabState
from qgjob.scheduler.backlog.entries import Backlog
from qgjob.scheduler.control.explaining import Explaining
from qgjob.scheduler.queries.lookup import KnownJobs
from tests.support.placement import job


@pytest.mark.parametrize(("attempt", "state"), [(3, "errored"), (4, "queued")])
async def test_an_attempt_whose_end_is_known_does_not_wait_though_it_was_found_in_the_backlog(
    bus: Bus, attempt: int, state: str
) -> None:
    """As after a crash between an end and the last acknowledgement; a later attempt does wait."""
    clock, placement = ManualClock(), LabState()
    note(placement, JobArrived(job(1, attempt=attempt)), clock.now(), [])
    doc = JobDoc("j1", "r1", "o", state="errored", attempt=3, message="this machine has no Maestro")

    async def known(any_id: str) -> KnownJobs:
        return KnownJobs([doc])

    explaining = Explaining(bus, clock, placement, Backlog(), known)
    answer = await explaining.explain(b'{"v": 1, "job_id": "j1"}')
    assert (answer.state, answer.attempt) == (state, attempt)
