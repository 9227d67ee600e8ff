"""Failures are charged, infrastructure errors are not, and some ends are final."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.events import EndState
from bus_schemas.jobs import JobMessage
from qgjob.domain.retry import (
    BACK_OFF_S,
    LONGEST_BACK_OFF_S,
    may_start_at,
    next_attempt,
    poison_text,
)
from tests.support.samples.jobs import SPEC


def message(**spec: int) -> JobMessage:
    return JobMessage(spec=SPEC.model_copy(update=spec))


@pytest.mark.parametrize("state", ["failed", "timed_out"])
def test_failures_are_retried_as_often_as_asked(state: EndState) -> None:
    first = message(retries=2)
    second = next_attempt(first, state, "a/s0")
    assert second is not None
    assert (second.attempt, second.failures, second.infra_errors, second.avoid) == (2, 1, 0, ())
    third = next_attempt(second, state, "a/s0")
    assert third is not None
    assert next_attempt(third, state, "a/s0") is None


def test_infrastructure_errors_are_not_charged_and_avoid_the_slot() -> None:
    first = message(retries=0, infra_retries=2)
    second = next_attempt(first, "errored", "a/s0")
    assert second is not None
    assert (second.failures, second.infra_errors, second.avoid) == (0, 1, ("a/s0",))
    third = next_attempt(second, "errored", "b/s0")
    assert third is not None
    assert third.avoid == ("a/s0", "b/s0")
    assert next_attempt(third, "errored", "c/s0") is None


@pytest.mark.parametrize("state", ["passed", "cancelled", "expired"])
def test_these_ends_are_final(state: EndState) -> None:
    assert next_attempt(message(retries=5), state, "a/s0") is None


def test_what_would_fail_everywhere_is_not_retried() -> None:
    assert next_attempt(message(infra_retries=5), "errored", "a/s0", retryable=False) is None


def test_the_first_infrastructure_error_is_retried_at_once_and_later_ones_wait_ever_longer() -> None:
    message_ = message(infra_retries=12)
    waits: list[float] = []
    while (following := next_attempt(message_, "errored", None)) is not None:
        start = may_start_at(following, "errored", 1000.0)
        waits.append(0.0 if start is None else start - 1000.0)
        message_ = following
    assert waits[0] == 0.0
    for n, wait in enumerate(waits[1:]):
        whole = min(LONGEST_BACK_OFF_S, BACK_OFF_S * 2**n)
        assert whole / 2 <= wait <= whole
    assert waits[-1] > LONGEST_BACK_OFF_S / 2


@given(job_id=st.text("abc123", min_size=1, max_size=8), errors=st.integers(2, 50), at=st.floats(0, 2e9))
def test_the_wait_depends_on_nothing_but_job_and_attempt(job_id: str, errors: int, at: float) -> None:
    spec = SPEC.model_copy(update={"job_id": job_id})
    one = JobMessage(spec=spec, attempt=errors + 1, infra_errors=errors)
    found = may_start_at(one, "errored", at)
    assert found is not None
    assert found > at
    assert found == may_start_at(JobMessage.decode(one.encode()), "errored", at)


def test_jobs_that_fail_together_do_not_come_back_together() -> None:
    starts = {
        may_start_at(
            JobMessage(spec=SPEC.model_copy(update={"job_id": f"j_{n}"}), attempt=3, infra_errors=2),
            "errored",
            0.0,
        )
        for n in range(50)
    }
    assert len(starts) == 50


def test_a_failure_is_retried_at_once_whatever_the_lab_did_before() -> None:
    assert may_start_at(JobMessage(spec=SPEC, attempt=5, infra_errors=3), "failed", 1.0) is None


def test_a_job_under_which_three_slots_went_down_is_poisonous() -> None:
    first = message(retries=0, infra_retries=10)
    second = next_attempt(first, "errored", "a/s0", downed=["a/s0"])
    assert second is not None
    again = next_attempt(second, "errored", "a/s0", downed=["a/s0"])
    assert again is not None, "it went down twice, but it is one slot"
    third = next_attempt(again, "failed", "b/s0", downed=["b/s0"])
    assert third is None, "no retries of failures were asked for"
    third = next_attempt(again, "errored", "b/s0", downed=["b/s0"])
    assert third is not None
    assert third.downed == ("a/s0", "b/s0")
    assert next_attempt(third, "errored", "c/s0", downed=["c/s0"]) is None
    assert next_attempt(third, "errored", "c/s0") is not None, "the last slot did not go down"
    assert "a/s0, b/s0, c/s0" in poison_text(("a/s0", "b/s0", "c/s0"))
