"""The messages of the backlog: a job, and the marker of its run."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from bus_schemas.base import (
    ANY,
    AttemptNumber,
    Count,
    Id,
    Label,
    Message,
    Model,
    Positive,
    SlotName,
    Text,
    Timestamp,
)
from bus_schemas.subjects import PriorityClass

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
EnvValue = Annotated[str, StringConstraints(max_length=32_768)]
TestPath = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Priority = Annotated[int, Field(ge=1, le=10)]
RunnerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


MAX_SHARD_FILES: Final = 20_000
MAX_REQUIRED: Final = 32
"""Labels that a job may require: a group is named by all of them."""


class BlobRef(Model):
    """A file in the object store, named by its SHA-256."""

    digest: Digest
    size: Count


class JobSpec(Model):
    """What a job is: fixed at its submit, the same in every attempt."""

    job_id: Id
    run_id: Id
    org_id: Id
    app_version_id: Id
    app_id: Id | None = None
    platform: Id | None = None
    test: TestPath
    """The test's file; of a shard its name, such as `shard 2 of 4`."""
    tests: Annotated[tuple[TestPath, ...], Field(max_length=MAX_SHARD_FILES)] = ()
    """The files of a shard, which runs several; empty when the job is of one file."""
    variant: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """What tells the job from others of the same test in its run: `android-14`, `#3`, `android-14 #3`."""
    position: Count = 0
    """The job's place in its run, from 0."""
    priority: Priority = 5
    target: Label | None = None
    requires: Annotated[tuple[Label, ...], Field(max_length=MAX_REQUIRED)] = ()
    """All labels that a slot must have, the target included, sorted."""
    runner: RunnerName = "auto"
    argv: tuple[EnvValue, ...] = ()
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    secrets: tuple[EnvName, ...] = ()
    """Names of secrets that the agent fills in; values never travel."""
    bundle: BlobRef | None = None
    timeout_s: Annotated[float, Field(gt=0, le=7 * 86_400)] = 900.0
    """Of the test itself; installing has a limit of the agent's own."""
    silence_timeout_s: Annotated[float, Field(gt=0, le=7 * 86_400)] | None = None
    """How long the test may say nothing; None: for ever."""
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    infra_retries: Annotated[int, Field(ge=0, le=100)] = 2
    expires_s: Annotated[float, Field(gt=0, lt=1e9, allow_inf_nan=False)] = 43_200.0
    """How long the job may wait for its first start, from when it was stored."""
    max_parallel: Positive | None = None
    concurrency_key: Id | None = None
    """A newer run of the same organisation and key takes the place of this one."""
    created_at: Timestamp

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the job runs: one, or those of its shard."""
        return self.tests or (self.test,)

    @property
    def title(self) -> str:
        """The test, and what tells the job from others of it in its run."""
        return title_of(self.test, self.tests, self.variant)


class JobMessage(Message):
    """One attempt of a job, waiting in `QG_JOBS`; a release copies it into `QG_WORK` byte for byte.

    The attempt number is here and nowhere else: a retry is a new message.
    """

    spec: JobSpec
    attempt: AttemptNumber = 1
    failures: Count = 0
    """How many earlier attempts the test failed."""
    infra_errors: Count = 0
    """How many earlier attempts the lab failed."""
    avoid: tuple[SlotName, ...] = ()
    """`agent/slot` names where earlier attempts met infrastructure errors."""
    downed: tuple[SlotName, ...] = ()
    """`agent/slot` names that went down under earlier attempts: the device or the agent was lost."""
    not_before: Timestamp | None = None
    asked: Id | None = None
    """The nonce of the request, when somebody asked for this attempt of a job that had ended."""
    again: bool = False
    """Sent once more by a client that lost an answer: it may have run already."""
    part: Count = 0
    parts: Positive = 1
    """The batch this message came in, and how many batches the run's submit has."""


class RunMarker(Message):
    """What a run is, on `qg.jobs.run.…`; its first message is written with the run's first batch.

    `open` until the last batch, whose marker says `complete`. A run that stays open is closed as
    `refused` by the leader; each is written by compare-and-set, so one of them wins.
    """

    run_id: Id
    org_id: Id
    state: Literal["open", "complete", "refused"]
    size: Positive
    parts: Positive
    digest: Digest
    """SHA-256 over what the jobs are, without times: tells a repeated submit from another one."""
    name: Text | None = None
    meta: dict[str, Text] = Field(default_factory=dict)
    created_at: Timestamp


def priority_class(priority: int) -> PriorityClass:
    """8 to 10 are high, 4 to 7 medium, 1 to 3 low."""
    if priority >= 8:
        return "high"
    return "medium" if priority >= 4 else "low"


def capability_of(requires: tuple[str, ...]) -> str:
    """The canonical name of a set of labels; `any` when nothing is required."""
    return "+".join(sorted(set(requires))) or ANY


def title_of(test: str, tests: tuple[str, ...], variant: str | None) -> str:
    """The test, and what tells a job from others of it in its run; a shard of one file is that file."""
    shown = tests[0] if len(tests) == 1 else f"{test} ({len(tests)} files)" if tests else test
    return f"{shown} [{variant}]" if variant else shown


def labels_of(capability: str) -> frozenset[str]:
    """The labels that a capability requires; the inverse of `capability_of`."""
    return frozenset() if capability == ANY else frozenset(capability.split("+"))
