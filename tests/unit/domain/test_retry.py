"""Failures are charged, infrastructure errors are not, and some ends are final."""

from __future__ import annotations

import pytest

from bus_schemas.events import EndState
from bus_schemas.jobs import JobMessage
from qgjob.domain.retry import next_attempt
from tests.support.samples import SPEC


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
