"""What callers send: strict, so that a misspelt field is refused by its name."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from bus_schemas.base import Id, Label, Text
from bus_schemas.jobs import Digest, EnvName, EnvValue, RunnerName, TestPath
from qgjob.client.checks import leads_out
from qgjob.client.submitting.submit import MAX_SHARDS
from qgjob.domain.durations import parse_duration
from qgjob.domain.priorities import PRIORITY_WORDS
from qgjob.errors import UsageError


def _priority(value: Any) -> Any:
    return PRIORITY_WORDS.get(value.strip().lower(), value) if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except UsageError as error:
        raise ValueError(error.message) from None


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("is a text such as 2027-01-31T06:00:00Z")  # noqa: TRY004 - what pydantic reports
    try:
        at = datetime.fromisoformat(value.strip().upper())
    except ValueError:
        raise ValueError(f"{value[:40]!r} is not a time such as 2027-01-31T06:00:00Z (RFC 3339)") from None
    if at.tzinfo is None or not 1970 <= at.year <= 9998:
        raise ValueError(f"{value[:40]!r} needs a zone (Z, or an offset) and a year from 1970 to 9998")
    return at


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is a number, not true or false")  # noqa: TRY004 - what pydantic reports
    return value


def _in_bundle(test: str) -> str:
    if leads_out(test):
        raise ValueError("leads out of the bundle: name the test by its path in there")
    return test


# Limits stand within the checks of what comes: OpenAPI has them only there.
_NUMBER = BeforeValidator(_no_bool)
Test = Annotated[TestPath, AfterValidator(_in_bundle)]
_Level = Annotated[int, Field(ge=1, le=10)]
Priority = Annotated[
    _Level,
    _NUMBER,
    BeforeValidator(_priority, json_schema_input_type=_Level | Literal["low", "medium", "high"]),
]
_Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
Duration = Annotated[_Seconds, _NUMBER, BeforeValidator(_seconds, json_schema_input_type=_Seconds | str)]
Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=datetime)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class Body(BaseModel):
    """A request's body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SubmitBody(Body):
    """A run to be submitted: one job for each test."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "org_id": "acme",
                    "app_version_id": "v1.2.0",
                    "tests": ["tests/login_test.py"],
                    "priority": "high",
                    "runner": "pytest",
                }
            ]
        },
    )

    org_id: Id
    app_version_id: Id
    test_path: Test | None = None
    """One test; or several in `tests`."""
    tests: tuple[Test, ...] = ()
    bundle: Digest | None = None
    """The digest that `POST /api/bundles` answered."""
    priority: Priority = 5
    target: Literal["emulator", "device", "simulator"] | None = None
    requires: tuple[Label, ...] = ()
    runner: RunnerName = "auto"
    argv: tuple[EnvValue, ...] = ()
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    timeout: Duration = 900.0
    """Seconds, or a text such as `15m`."""
    silence_timeout: Duration | None = None
    """How long a test may say nothing."""
    secrets: tuple[EnvName, ...] = ()
    """Names of secrets of the agent; their values never travel."""
    retries: Annotated[int, Field(ge=0, le=100), _NUMBER] = 0
    expires: Duration = 43_200.0
    at: Moment | None = None
    """Start nothing before: an RFC 3339 time."""
    matrix: tuple[Label, ...] = ()
    """Run each test once on a slot of each of these labels."""
    repeat: Annotated[int, Field(ge=1, le=1000), _NUMBER] = 1
    shards: Annotated[int, Field(ge=1, le=MAX_SHARDS), _NUMBER] | None = None
    """So many jobs of several files each, balanced by learned durations."""
    max_parallel: Annotated[int, Field(ge=1), _NUMBER] | None = None
    """Most jobs of this run that run at once."""
    app_id: Id | None = None
    platform: Id | None = None
    name: Text | None = None
    meta: dict[str, Text] = Field(default_factory=dict)
    run_key: Id | None = None
    """With a key, a submit that is repeated adds nothing."""
    concurrency_key: Id | None = None
    """What is left of older runs of the organisation with the same key is cancelled."""

    @model_validator(mode="after")
    def _has_tests(self) -> Self:
        if (self.test_path is None) == (not self.tests):
            raise ValueError("name the tests: either `test_path` (one) or `tests` (a list)")
        return self

    @property
    def all_tests(self) -> tuple[str, ...]:
        """The tests, however they were named."""
        return self.tests or ((self.test_path,) if self.test_path else ())


class CancelBody(Body):
    """Why something is cancelled."""

    reason: Reason | None = None
