from __future__ import annotations

import pytest

from bus_schemas.requests import JobState
from qgjob.client.models import Waited
from qgjob.domain.verdict import counts_of, run_state_of, verdict_of
from qgjob.errors import ExitCode
from tests.support.views import view


@pytest.mark.parametrize(
    ("states", "code", "state"),
    [
        (["passed", "passed"], 0, "passed"),
        (["passed", "failed"], 10, "failed"),
        (["timed_out"], 10, "failed"),
        (["cancelled", "passed"], 19, "cancelled"),
        (["expired"], 19, "cancelled"),
        (["cancelled", "failed"], 10, "failed"),
        (["errored", "failed", "cancelled"], 20, "errored"),
        (["running", "failed"], 10, "running"),
        (["queued", "dispatched"], 0, "queued"),
        (["queued", "cancelled"], 19, "queued"),
    ],
)
def test_the_first_that_applies_of_20_10_19_0(states: list[JobState], code: int, state: str):
    jobs = [view(job_id=f"j_{number}", state=given) for number, given in enumerate(states)]
    assert verdict_of(jobs) == code
    assert run_state_of(jobs) == state


@pytest.mark.parametrize(("other", "code"), [("errored", 20), ("failed", 18), ("passed", 18)])
def test_no_slot_stands_between_infrastructure_and_failures(other: JobState, code: int):
    jobs = [view(job_id="j_1", state="cancelled"), view(job_id="j_2", state=other)]
    assert verdict_of(jobs, no_slot={"j_1"}) == code


def test_a_job_that_ran_after_all_is_not_without_a_slot():
    assert verdict_of([view(state="passed")], no_slot={"j_1"}) == 0


def test_waiting_that_ran_out_of_time_is_16():
    waited = Waited("r_1", None, (view(state="failed"),), timed_out=True)
    assert waited.verdict == ExitCode.WAIT_TIMEOUT


def test_counts_leave_out_what_there_is_none_of():
    assert counts_of([view(state="passed"), view(state="passed"), view()]) == {"passed": 2, "queued": 1}
