"""Times off the bus are numbers that every calendar can show."""

from __future__ import annotations

import json

import pytest

from bus_schemas.jobs import JobMessage
from qgjob.errors import BadMessageError
from tests.support.samples.jobs import JOB


@pytest.mark.parametrize("when", ["NaN", "Infinity", "-Infinity", "-1", "1e300", "253402300800"])
def test_a_time_that_no_calendar_has_is_refused(when: str) -> None:
    text = json.dumps(json.loads(JOB.encode()) | {"not_before": 0}).replace(
        '"not_before": 0', f'"not_before": {when}'
    )
    with pytest.raises(BadMessageError, match="not_before"):
        JobMessage.decode(text)


@pytest.mark.parametrize("when", [0.0, 1_790_000_000.25, 253_402_300_799.0])
def test_any_other_is_taken(when: float) -> None:
    text = json.dumps(json.loads(JOB.encode()) | {"not_before": when})
    assert JobMessage.decode(text).not_before == when
