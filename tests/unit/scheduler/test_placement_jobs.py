"""What the placement core is told of a job."""

from __future__ import annotations

from bus_schemas.jobs import JobMessage
from qgjob.scheduler.backlog.entries import placement_job
from tests.support.views import NOW, spec


def test_a_job_for_later_waits_from_its_time_on() -> None:
    """Else a night's job had aged for hours when it came due, and went before more urgent ones."""
    message = JobMessage(spec=spec(expires_s=60.0), not_before=NOW + 3600)
    job = placement_job(message, NOW, 1)
    assert (job.arrived_at, job.expires_at) == (NOW + 3600, NOW + 3660)
    assert placement_job(JobMessage(spec=spec()), NOW, 1).arrived_at == NOW
    assert placement_job(message, NOW + 4000, 1).arrived_at == NOW + 4000
