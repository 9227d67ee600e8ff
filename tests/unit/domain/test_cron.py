"""When a schedule is due next: on the clocks of its zone, also where these are changed."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qgjob.domain.cron import next_due
from tests.support.examples import examples


def seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("expression", "zone", "now", "due"),
    [
        ("0 30 5 * * 1-5", None, "2026-08-28T05:29:59Z", "2026-08-28T05:30:00Z"),
        ("0 30 5 * * 1-5", None, "2026-08-28T05:30:00Z", "2026-08-31T05:30:00Z"),  # a Friday
        ("0 30 5 * * mon-fri", "Europe/Berlin", "2026-08-28T04:00:00Z", "2026-08-31T03:30:00Z"),
        ("0 30 5 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T04:30:00Z"),  # winter now
        ("0 30 5 * * *", "Asia/Kolkata", "2026-08-28T00:00:00Z", "2026-08-29T00:00:00Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),  # skipped once
        ("0 30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),  # and twice
        ("@hourly", None, "2026-08-28T05:00:00Z", "2026-08-28T06:00:00Z"),
        ("@daily", "America/New_York", "2026-08-28T05:00:00Z", "2026-08-29T04:00:00Z"),
        ("@weekly", None, "2026-08-28T05:00:00Z", "2026-08-30T00:00:00Z"),
        ("@monthly", None, "2026-12-28T05:00:00Z", "2027-01-01T00:00:00Z"),
        ("@yearly", None, "2026-08-28T05:00:00Z", "2027-01-01T00:00:00Z"),
        ("*/20 * * * * *", None, "2026-08-28T05:00:41.5Z", "2026-08-28T05:01:00Z"),
        ("10/20 * * * * *", None, "2026-08-28T05:00:11Z", "2026-08-28T05:00:30Z"),
        ("0 0 0 29 feb *", None, "2026-08-28T05:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 0 1 * 5", None, "2026-08-28T00:00:00Z", "2026-09-01T00:00:00Z"),  # one of both
        ("0 0 0 1 * *", None, "2026-08-28T00:00:00Z", "2026-09-01T00:00:00Z"),
        ("@every 90m", None, "2026-08-28T00:00:00Z", "2026-08-28T01:30:00Z"),
        ("@every 1h30m", None, "2026-08-28T01:30:00Z", "2026-08-28T03:00:00Z"),
        ("@every 1.5h", None, "2026-08-30T00:00:01Z", "2026-08-30T01:30:00Z"),
    ],
)
def test_it_is_due(expression: str, zone: str | None, now: str, due: str) -> None:
    made = seconds("2026-08-28T00:00:00.3Z")
    found = next_due(expression, zone, made, seconds(now))
    assert found is not None
    assert dt.datetime.fromtimestamp(found, dt.UTC) == dt.datetime.fromisoformat(due)


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("bad", None),
        ("61 * * * * *", None),
        ("0 0 0 31 2 *", None),
        ("@every 5", None),
        ("@every 5m!", None),
        ("@every 10ms", None),
        ("0 */0 * * * *", None),
        ("0 5-2 * * * *", None),
        ("@hourly", "Mars/Base"),
        ("@hourly", "../../etc/passwd"),
    ],
)
def test_what_cannot_be_told_is_not_made_up(expression: str, zone: str | None) -> None:
    assert next_due(expression, zone, 0.0, 1_700_000_000.0) is None


@settings(max_examples=examples(60))
@given(
    st.integers(0, 59),
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
    st.integers(1_600_000_000, 1_900_000_000),
)
def test_nothing_that_fits_is_passed_over(second: int, minute: int, hour: int, zone: str, now: int) -> None:
    found = next_due(f"{second} {minute} {hour} * * *", zone, 0.0, now)
    assert found is not None
    clock = zoneinfo.ZoneInfo(zone)
    shown = dt.datetime.fromtimestamp(found, clock)
    assert (shown.second, shown.minute, shown.hour) == (second, minute, hour)
    between = range(now + 1, int(found), 60)
    local = [dt.datetime.fromtimestamp(at, clock) for at in between]
    assert not [at for at in local if (at.hour, at.minute) == (hour, minute) and at.second == second]
