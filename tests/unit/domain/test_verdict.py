from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.queries import JobState, JobView
from qgjob.client.models import Waited
from qgjob.domain.verdict import (
    VerdictRules,
    counts_of,
    failures_of,
    run_state_of,
    spoiler_of,
    verdict_of,
    why_no_slot,
)
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
    why = why_no_slot("no slot has nfc")
    jobs = [view(job_id="j_1", state="cancelled", message=why), view(job_id="j_2", state=other)]
    assert verdict_of(jobs) == code
    assert Waited("r_1", None, tuple(jobs)).no_slot == {"j_1": "no slot has nfc"}


def test_a_job_that_ran_after_all_is_not_without_a_slot():
    assert verdict_of([view(state="passed", message=why_no_slot("no slot has nfc"))]) == 0
    assert verdict_of([view(state="cancelled", message="no slot for it today")]) == 19


def test_waiting_that_ran_out_of_time_is_16():
    waited = Waited("r_1", None, (view(state="failed"),), timed_out=True)
    assert waited.verdict == ExitCode.WAIT_TIMEOUT


def test_counts_leave_out_what_there_is_none_of():
    assert counts_of([view(state="passed"), view(state="passed"), view()]) == {"passed": 2, "queued": 1}


FAILED, FLAKY, ERRORED = view(state="failed"), view(state="passed", flaky=True), view(state="errored")


@pytest.mark.parametrize(
    ("jobs", "rules", "code"),
    [
        ([FAILED], VerdictRules(allow_failures=1), 0),
        ([FAILED, FAILED], VerdictRules(allow_failures=1), 10),
        ([FAILED, view(state="timed_out")], VerdictRules(allow_failures=2), 0),
        ([FLAKY], VerdictRules(), 0),
        ([FLAKY], VerdictRules(fail_on_flaky=True), 10),
        ([FLAKY], VerdictRules(fail_on_flaky=True, allow_failures=1), 0),
        ([ERRORED], VerdictRules(allow_failures=5), 20),
        ([FAILED, view(state="cancelled")], VerdictRules(allow_failures=1), 19),
    ],
)
def test_who_waits_says_what_a_failure_is_and_how_many_are_too_many(
    jobs: list[JobView], rules: VerdictRules, code: int
):
    assert verdict_of(jobs, rules=rules) == code


_STATES = st.sampled_from(
    ["queued", "running", "passed", "failed", "timed_out", "errored", "cancelled", "expired"]
)
_RULES = st.builds(VerdictRules, fail_on_flaky=st.booleans(), allow_failures=st.integers(0, 3))


@st.composite
def _jobs(draw: st.DrawFn) -> list[JobView]:
    states = draw(st.lists(_STATES, max_size=8))
    return [
        view(job_id=f"j_{n}", state=state, flaky=state == "passed" and draw(st.booleans()))
        for n, state in enumerate(states)
    ]


@given(_jobs(), _RULES, st.integers(0, 3))
def test_what_is_stopped_early_would_not_have_passed(jobs: list[JobView], rules: VerdictRules, more: int):
    spoiler = spoiler_of(jobs, rules)
    later = [*jobs, *(view(job_id=f"k_{n}", state="passed") for n in range(more))]
    assert (spoiler is not None) == (verdict_of(jobs, rules=rules) in {10, 20})
    if spoiler is not None:
        assert spoiler in [*failures_of(jobs, rules), *(job for job in jobs if job.state == "errored")]
        assert verdict_of(later, rules=rules) in {10, 20}
