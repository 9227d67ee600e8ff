"""What is remembered of each test: its last outcomes (`QG_HISTORY`), and its learned durations."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from bus_schemas.base import Answer, AttemptNumber, Count, Id, Message, Seconds, Text, Timestamp
from bus_schemas.jobs import TestPath

Outcome = Literal["passed", "failed", "timed_out", "errored"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("passed", "failed", "timed_out", "errored")
"""Ends that say something of a test, or of the lab when it ran; who cancels says nothing."""

MAX_ASKED: Final = 2000


class OutcomeRecord(Message):
    """One attempt at a test, in `QG_HISTORY`: kept for months, the last of each test."""

    org_id: Id
    test: TestPath
    job_id: Id
    run_id: Id
    attempt: AttemptNumber
    app_version_id: Id
    outcome: Outcome
    flaky: bool = False
    """Passed, but only after a failure within the attempt, as its report tells."""
    duration_s: Seconds | None = None
    slot: Text | None = None
    """`agent/slot`."""
    message: Text | None = None
    at: Timestamp


class HistoryQuery(Message):
    """The last outcomes of a test (`qg.query.history.<org>`), newest first; without `org_id` anybody's."""

    test: TestPath
    org_id: Id | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class HistoryAnswer(Answer):
    """The outcomes that were asked for, each once."""

    outcomes: tuple[OutcomeRecord, ...] = ()
    expected_s: Seconds | None = None
    """How long the test is expected to run, when one organisation was asked for and that is known."""


class DurationsQuery(Message):
    """How long tests of an organisation are expected to run (`qg.query.durations.<org>`)."""

    org_id: Id
    tests: Annotated[tuple[TestPath, ...], Field(max_length=MAX_ASKED)]


class DurationsAnswer(Answer):
    """Seconds by test, of those of which something is known."""

    seconds: dict[str, Seconds] = Field(default_factory=dict)


class Learned(Message):
    """Weighted means with how many samples they stand on, in the bucket `qg_learned`."""

    at: Timestamp
    tests: tuple[tuple[str, str, Seconds, Count], ...] = ()
    """(organisation, test, seconds, samples)."""
    installs: tuple[tuple[str, str, Seconds, Count], ...] = ()
    """(organisation, build, seconds, samples)."""
    any_install: tuple[Seconds, Count] | None = None
    aged_credit: float | None = Field(default=None, allow_inf_nan=False)
    """How many starts the oldest aged work is owed; negative: it had that many in advance."""
