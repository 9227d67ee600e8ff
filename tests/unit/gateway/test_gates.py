"""What a gate answers to whom it refuses, and what counts."""

from __future__ import annotations

import logging

import pytest

from qgjob.errors import ExitCode, NotFoundError
from qgjob.gateway.gates import Gate, Limit, TooOftenError
from qgjob.gateway.limits import Rate
from qgjob.gateway.throttle import caller_of
from tests.support.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now=1_800_000_000.0)


def test_who_is_refused_is_told_which_limit_who_set_it_and_when_to_come_again(clock: ManualClock):
    gate = Gate("requests", Limit(Rate(per_s=0.5, burst=2), "--http-rate"), clock)
    gate.admit("10.0.0.7")
    gate.admit("10.0.0.7")
    with pytest.raises(TooOftenError) as caught:
        gate.admit("10.0.0.7")
    error = caught.value
    assert error.message == (
        "10.0.0.7 asks more often than 0.5 times a second, or 2 at once: come again in 2 s."
    )
    assert (error.retry_after_s, error.retry_at) == (2, "2027-01-15T08:00:02.000Z")
    assert error.limit == {
        "name": "requests",
        "of": "10.0.0.7",
        "per_second": 0.5,
        "burst": 2,
        "set_by": "--http-rate",
    }
    assert error.exit_code == ExitCode.REFUSED
    gate.admit("10.0.0.8")
    clock.advance(2)
    gate.admit("10.0.0.7")
    assert gate.refused == 1


def test_jobs_are_counted_by_the_minute(clock: ManualClock):
    gate = Gate("jobs", Limit(Rate(per_s=100, burst=6000), "QGJOB_HTTP_JOBS"), clock)
    gate.admit("acme", 100_000)
    with pytest.raises(
        TooOftenError, match=r"acme submits more than 6,000 jobs a minute: come again in 15m41s"
    ):
        gate.admit("acme", 100)
    gate.admit("other", 6000)


def test_what_came_to_nothing_counts_for_nothing(clock: ManualClock):
    gate = Gate("jobs", Limit(Rate(per_s=1, burst=60), "--http-jobs"), clock)
    with pytest.raises(NotFoundError), gate.admitted("acme", 60):
        raise NotFoundError("There is no such build.")
    with gate.admitted("acme", 60) as charge:
        charge.cancel()
    with gate.admitted("acme", 60):
        pass
    with pytest.raises(TooOftenError), gate.admitted("acme", 1):
        raise AssertionError("must not come here")
    assert gate.refused == 1


def test_without_a_limit_everybody_may_come(clock: ManualClock):
    gate = Gate("requests", None, clock)
    for _ in range(100_000):
        gate.admit("10.0.0.7")
    assert gate.refused == 0


def test_a_flood_is_one_line_a_minute_in_the_log(clock: ManualClock, caplog: pytest.LogCaptureFixture):
    gate = Gate("requests", Limit(Rate(per_s=0.001, burst=1), "the default of --http-rate"), clock)
    gate.admit("10.0.0.7")
    with caplog.at_level(logging.WARNING):
        for _ in range(120):
            with pytest.raises(TooOftenError):
                gate.admit("10.0.0.7")
            clock.advance(1)
    assert len(caplog.records) == 2
    assert "as the default of --http-rate says: 10.0.0.7 asks" in caplog.messages[0]


@pytest.mark.parametrize(
    ("client", "caller"),
    [
        (("10.0.0.7", 1234), "10.0.0.7"),
        (("::ffff:10.0.0.7", 1234), "10.0.0.7"),
        (("2001:db8:1:2:aaaa::1", 1234), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:bbbb::9", 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 0), "fe80::/64"),
        (("x" * 60_000, 0), "unknown"),
        (None, "unknown"),
    ],
)
def test_a_caller_is_an_address_or_a_network(client: tuple[str, int] | None, caller: str):
    assert caller_of({"type": "http", "client": client}) == caller
