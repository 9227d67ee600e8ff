"""Events (`qg.events`): the claim chain of an attempt and its other events, and who publishes which."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple, Protocol, TypedDict

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from bus_schemas import subjects
from bus_schemas.artifacts import Artifact
from bus_schemas.base import (
    MAX_COUNT,
    AttemptNumber,
    Count,
    Id,
    Message,
    Model,
    Positive,
    Seconds,
    SlotName,
    Text,
    Timestamp,
    first_problem,
)
from bus_schemas.cases import CaseOutcome
from bus_schemas.jobs import BlobRef, JobMessage, JobSpec, Priority, RunMarker, TestPath
from bus_schemas.subjects import EventLane
from qgjob.errors import BadMessageError

EndState = Literal["passed", "failed", "errored", "timed_out", "cancelled", "expired"]
Phase = Literal["preparing", "running"]
Publisher = Literal["scheduler", "agent", "either"]


class CaseCounts(Model):
    """What a test report counted."""

    passed: Count = 0
    failed: Count = 0
    skipped: Count = 0
    flaky: Count = 0


class FileResult(Model):
    """How one file of a shard went, as its test report tells."""

    file: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    outcome: CaseOutcome
    """The worst of its cases; `skipped` when all were."""
    duration_s: Seconds = 0.0
    flaky: bool = False


class Attempt(Model):
    """One try of a job, whole: what `status --json` shows."""

    number: AttemptNumber
    agent: Id | None = None
    slot: Id | None = None
    device: Id | None = None
    started_at: Timestamp | None = None
    """When the slot took the job, by the agent's clock."""
    running_at: Timestamp | None = None
    """When the test itself began, the install being done."""
    finished_at: Timestamp | None = None
    outcome: EndState | None = None
    reason: Id | None = None
    """A word for machines: `exit_code`, `install_failed`, `lease_lost`, …."""
    message: Text | None = None
    installed: bool = False
    """Whether this attempt had to install the build."""
    install_s: Seconds | None = None
    duration_s: Seconds | None = None
    """How long the test ran, on a monotonic clock."""
    exit_code: Annotated[int, Field(ge=-MAX_COUNT, le=MAX_COUNT)] | None = None
    takeovers: Count = 0
    cases: CaseCounts | None = None
    report: BlobRef | None = None
    """What the test's report said case by case: a `CaseReport` in the artifacts' bucket."""
    files: tuple[FileResult, ...] = ()
    """Of a shard, its files one by one, those that took longest first."""
    files_left_out: Count = 0
    """How many more files there were than fit into the event."""
    artifacts: tuple[Artifact, ...] = ()
    """What the attempt left, in the order of their names."""
    artifacts_left_out: Count = 0
    """How many more there were that a limit kept out; the log says which."""


class Event(Message):
    """The fields that all events share; `at` is the writer's clock, for display only."""

    org_id: Id
    run_id: Id
    job_id: Id
    attempt: AttemptNumber
    at: Timestamp


class About(TypedDict):
    """The fields that all events share, as keyword arguments."""

    org_id: str
    run_id: str
    job_id: str
    attempt: int
    at: float


class JobIds(Protocol):
    """Anything with the ids of a job: a spec, a document, an entry of the backlog."""

    @property
    def org_id(self) -> str:
        """The organisation."""
        ...

    @property
    def run_id(self) -> str:
        """The run."""
        ...

    @property
    def job_id(self) -> str:
        """The job."""
        ...


def about(job: JobIds, attempt: int, at: float) -> About:
    """The shared fields of an event of a job's attempt."""
    return {
        "org_id": job.org_id,
        "run_id": job.run_id,
        "job_id": job.job_id,
        "attempt": attempt,
        "at": at,
    }


class Queued(Event):
    """A job of a complete run entered the backlog."""

    kind: Literal["queued"] = "queued"
    spec: JobSpec
    run_size: Positive = 1
    run_name: Text | None = None
    run_meta: dict[str, Text] = Field(default_factory=dict)
    """The run's metadata, told with its first job alone."""
    not_before: Timestamp | None = None


class Released(Event):
    """The scheduler put the job into `QG_WORK`."""

    kind: Literal["released"] = "released"
    group: Id
    """The name of the group's consumer."""
    because: Text | None = None
    """Why here and now: the placement's own words."""


class Started(Event):
    """The first link of the chain: a slot holds the attempt."""

    kind: Literal["started"] = "started"
    nonce: Id
    agent: Id
    slot: Id
    device: Id | None = None
    app_version_id: Id
    phase: Phase = "running"
    takeovers: Count = 0
    lost: tuple[SlotName, ...] = ()
    """`agent/slot` names that held the attempt before and were lost."""
    left: bool = False
    """The holder let go by itself, as an agent that stops does: it was not lost."""


class TakenOver(Started):
    """Another slot continues the attempt after a lease was lost."""

    kind: Literal["taken_over"] = "taken_over"  # pyright: ignore[reportIncompatibleVariableOverride]


class Cancelling(Event):
    """Somebody asked to cancel an attempt that is held; whoever holds it must end it."""

    kind: Literal["cancelling"] = "cancelling"
    by: Id
    reason: Text
    holder: Started | None = None
    """The link this one follows, so that the chain's last message says all."""


class Ended(Event):
    """The last link, which replaces the chain: the attempt's one result."""

    kind: Literal["ended"] = "ended"
    nonce: Id
    state: EndState
    result: Attempt
    final: bool = True
    """False when the job will be tried again, `next` being what to put into the backlog."""
    app_version_id: Id
    test: TestPath | None = None
    """The job's test: what the history of a test is made from. Not said of a shard, whose files are."""
    next: JobMessage | None = None
    retryable: bool = True
    """Whether another slot might do better after an infrastructure error: then it counts against this one."""


class Preparing(Event):
    """The slot fetches or installs."""

    kind: Literal["preparing"] = "preparing"
    step: Id
    message: Text | None = None
    takeovers: Count = 0


class Running(Event):
    """The test itself began, after what had to be prepared."""

    kind: Literal["running"] = "running"
    installed: bool = False
    install_s: Seconds | None = None
    takeovers: Count = 0
    """Of the holder who says so: a former one may say it late."""


class Progress(Event):
    """Something worth showing while the test runs."""

    kind: Literal["progress"] = "progress"
    message: Text


class Retrying(Event):
    """The next attempt was put into the backlog."""

    kind: Literal["retrying"] = "retrying"
    next_attempt: Annotated[AttemptNumber, Field(ge=2)]
    charged: bool
    """Whether it counts against `--retries` (a failure) or not (an infrastructure error)."""
    not_before: Timestamp | None = None
    by: Id | None = None
    """Who asked for it, when somebody did: then the job may have ended for good before."""
    nonce: Id | None = None
    """Of the request."""


class Reprioritised(Event):
    """The job has another priority, from now on and in later attempts."""

    kind: Literal["reprioritised"] = "reprioritised"
    priority: Priority
    by: Id


class Refused(Event):
    """A run that never became complete was refused as a whole; `attempt` is 1."""

    kind: Literal["refused"] = "refused"
    message: Text


AnyEvent = Annotated[
    Queued
    | Released
    | Started
    | TakenOver
    | Cancelling
    | Ended
    | Preparing
    | Running
    | Progress
    | Retrying
    | Reprioritised
    | Refused,
    Field(discriminator="kind"),
]
ChainLink = Started | TakenOver | Cancelling | Ended


class EventKind(NamedTuple):
    """A row of the table of events."""

    model: type[Event]
    lane: EventLane
    publisher: Publisher


EVENT_KINDS: Final[dict[str, EventKind]] = {
    "queued": EventKind(Queued, "info", "scheduler"),
    "released": EventKind(Released, "info", "scheduler"),
    "retrying": EventKind(Retrying, "info", "scheduler"),
    "reprioritised": EventKind(Reprioritised, "info", "scheduler"),
    "refused": EventKind(Refused, "info", "scheduler"),
    "preparing": EventKind(Preparing, "info", "agent"),
    "running": EventKind(Running, "info", "agent"),
    "progress": EventKind(Progress, "info", "agent"),
    "started": EventKind(Started, "state", "agent"),
    "taken_over": EventKind(TakenOver, "state", "agent"),
    "cancelling": EventKind(Cancelling, "state", "scheduler"),
    "ended": EventKind(Ended, "state", "either"),
}
"""Every kind of event, its model, its lane and who may publish it."""

_adapter: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent, config=ConfigDict(defer_build=True))


def build_messages_of_jobs() -> None:
    """Build the (de)serializers of a job's messages now, for services: else the first job waits for it.

    Commands, which use few of them, have each made at its first use.
    """
    for model in (RunMarker, JobMessage, *(kind.model for kind in EVENT_KINDS.values())):
        model.model_rebuild()
    _adapter.rebuild()


def decode_event(data: bytes | bytearray | str) -> AnyEvent:
    """Read any event; raises `BadMessageError` with what is wrong."""
    try:
        event = _adapter.validate_json(data, extra="ignore")
    except ValidationError as error:
        raise BadMessageError(f"not an event: {first_problem(error)}") from None
    if event.v > Event.SUPPORTED:
        raise BadMessageError(f"an event of schema version {event.v} was written by a newer qgjob")
    return event


def subject_of(event: AnyEvent) -> str:
    """The subject on which an event is stored."""
    lane = EVENT_KINDS[event.kind].lane
    return subjects.event(event.org_id, event.run_id, event.job_id, event.attempt, lane)


def decode_event_at(subject: str, data: bytes) -> AnyEvent:
    """Read a stored event; raises `BadMessageError` also when it stands where it does not belong.

    Where an event may be published is a right: one that spoke for another job would go round it.
    """
    event = decode_event(data)
    if subject_of(event) != subject:
        raise BadMessageError(f"a {event.kind} event of job {event.job_id} does not belong on this subject")
    return event
