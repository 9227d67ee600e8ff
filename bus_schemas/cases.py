"""What a test report says case by case: a document in the object store, named by an attempt's `report`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from bus_schemas.base import AttemptNumber, Count, Id, Message, Model, Positive, Seconds

CaseOutcome = Literal["passed", "failed", "errored", "skipped"]

MAX_CASES: Final = 20_000
MAX_CASE_CHARS: Final = 4096
MAX_REPORT_BYTES: Final = 8 * 2**20
"""Of the whole document; the agent leaves out messages first, then cases."""

Line = Annotated[str, StringConstraints(max_length=1100)]
CaseText = Annotated[str, StringConstraints(max_length=MAX_CASE_CHARS)]


class CaseTry(Model):
    """One of several attempts at a case."""

    outcome: CaseOutcome
    duration_s: Seconds = 0.0
    message: CaseText | None = None


class CaseRecord(Model):
    """One case, as its last attempt went."""

    name: Line
    suite: Line = ""
    """What it belongs to: a class, a file, a flow."""
    outcome: CaseOutcome
    flaky: bool = False
    """It passed in the end, but not at first."""
    duration_s: Seconds = 0.0
    message: CaseText | None = None
    file: Line | None = None
    """As the test tool gives it; relative to the bundle where it lies in it."""
    line: Positive | None = None
    attempts: Positive = 1
    tries: tuple[CaseTry, ...] = ()
    """All attempts with the last, where the report told of each; empty when there was but one."""


class CaseReport(Message):
    """The cases of one attempt of a job, in the order of the report."""

    job_id: Id
    attempt: AttemptNumber
    runner: Id
    cases: Annotated[tuple[CaseRecord, ...], Field(max_length=MAX_CASES)] = ()
    left_out: Count = 0
    """How many more cases there were."""
