"""Values of the options that steer the queue: taken as meant, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qgjob.cli import values
from qgjob.errors import UsageError


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2026-11-24T12:00:00Z", 1_795_521_600.0),
        ("2026-11-24T13:00:00+01:00", 1_795_521_600.0),
        ("2026-11-24 12:00:00.5+00:00", 1_795_521_600.5),
        (" 2026-11-24t12:00:00z ", 1_795_521_600.0),
    ],
)
def test_a_moment_is_taken_in_any_zone(given: str, seconds: float) -> None:
    assert values.moment("--at", given) == seconds


def test_a_schedule_is_its_expression_and_zone() -> None:
    assert values.schedule(None, None, at=None, wait=True) is None
    assert values.schedule(" 30 5 * * 1-5 ", "Europe/Berlin", at=None, wait=False) == (
        "30 5 * * 1-5",
        "Europe/Berlin",
    )


def test_a_capability_has_one_spelling() -> None:
    assert values.capability("emulator+android-14") == "android-14+emulator"
    assert values.capability("any") == "any"
    assert values.capability(None) is None


@pytest.mark.parametrize(
    ("parse", "says"),
    [
        (lambda: values.moment("--at", "tomorrow"), "--at 'tomorrow' is not a time such as"),
        (lambda: values.moment("--at", "2030-01-01"), "is not a time such as"),
        (lambda: values.moment("--at", "2030-01-01T00:00:00"), "add Z for UTC"),
        (lambda: values.moment("--at", "1066-10-14T09:00:00Z"), "lies before 1970"),
        (lambda: values.schedule(None, "UTC", at=None, wait=False), "--time-zone needs --cron"),
        (
            lambda: values.schedule("@hourly", None, at=None, wait=True),
            "--cron and --wait exclude each other",
        ),
        (lambda: values.schedule("@hourly", None, at="x", wait=False), "--cron and --at exclude each other"),
        (lambda: values.schedule("@hourly", "no zone", at=None, wait=False), "is no zone such as"),
        (lambda: values.schedule("\n", None, at=None, wait=False), "is no schedule such as"),
        (lambda: values.capability("No Such"), "is not a label"),
        (lambda: values.capability("a++b"), "is not a label"),
        (lambda: values.count("--max-running", "0"), "is not a whole number from 1"),
        (lambda: values.count("--max-running", "2.5"), "is not a whole number from 1"),
        (lambda: values.priority("11", "N"), "N '11' is no priority"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(parse: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError) as error:
        parse()
    assert says in error.value.message
