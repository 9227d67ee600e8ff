"""The documents of the projection, a job's and a run's: as hashes in the store, as views for users."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter, ValidationError

from bus_schemas.events import END_STATES, Attempt
from bus_schemas.requests import JobState, JobView, RunState, RunView
from qgjob.errors import BadMessageError

UNKNOWN: Final = "unknown"
"""Stands in a view for what only an event told that is gone."""

NOT_STARTED: Final[frozenset[str]] = frozenset({"scheduled", "queued", "dispatched"})
_ENDED: Final[frozenset[str]] = frozenset(END_STATES)
_attempts: TypeAdapter[list[Attempt]] = TypeAdapter(list[Attempt])
_counts: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])


@dataclass(slots=True)
class JobDoc:
    """What the events so far say of a job; times are the stream's, seconds since 1970."""

    job_id: str
    run_id: str
    org_id: str
    app_version_id: str = ""
    test: str = ""
    position: int = 0
    priority: int = 5
    target: str | None = None
    requires: tuple[str, ...] = ()
    runner: str = ""
    created_at: float | None = None
    state: JobState = "queued"
    attempt: int = 1
    """The attempt that the state speaks of."""
    settled: bool = False
    """Whether that attempt's result is recorded: what is said of it afterwards is late."""
    not_before: float | None = None
    queued_at: float | None = None
    updated_at: float | None = None
    ended_at: float | None = None
    flaky: bool = False
    reason: str | None = None
    message: str | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    order: int = 0
    """Place of the job's first event in the stream: lists are ordered by it."""
    seq: int = 0
    """Place of the last event that this document contains."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is expected."""
        return self.state in _ENDED

    @property
    def begun(self) -> bool:
        """Whether any attempt was ever started on a slot."""
        return any(a.started_at is not None or a.running_at is not None for a in self.attempts.values())

    def view(self, now: float) -> JobView:
        """The job as users see it at a time."""
        state = self.state
        if state == "scheduled" and self.not_before is not None and self.not_before <= now:
            state = "queued"
        return JobView(
            job_id=self.job_id,
            run_id=self.run_id,
            org_id=self.org_id,
            app_version_id=self.app_version_id or UNKNOWN,
            test=self.test,
            position=self.position,
            state=state,
            priority=self.priority,
            target=self.target,
            requires=self.requires,
            runner=self.runner or UNKNOWN,
            created_at=self.created_at or self.queued_at or self.updated_at or 0.0,
            queued_at=self.queued_at,
            updated_at=self.updated_at,
            ended_at=self.ended_at,
            flaky=self.flaky,
            reason=self.reason,
            message=self.message,
            attempts=tuple(attempt for _, attempt in sorted(self.attempts.items())),
        )

    def fields(self) -> list[str]:
        """The document as the fields and values of a hash, in turn."""
        attempts = [self.attempts[n].__pydantic_serializer__.to_json(self.attempts[n], exclude_none=True)
                    for n in sorted(self.attempts)]  # fmt: skip
        return [
            *("job_id", self.job_id),
            *("run_id", self.run_id),
            *("org_id", self.org_id),
            *("app_version_id", self.app_version_id),
            *("test", self.test),
            *("position", str(self.position)),
            *("priority", str(self.priority)),
            *("target", self.target or ""),
            *("requires", ",".join(self.requires)),
            *("runner", self.runner),
            *("created_at", _time(self.created_at)),
            *("state", self.state),
            *("attempt", str(self.attempt)),
            *("settled", "1" if self.settled else ""),
            *("not_before", _time(self.not_before)),
            *("queued_at", _time(self.queued_at)),
            *("updated_at", _time(self.updated_at)),
            *("ended_at", _time(self.ended_at)),
            *("flaky", "1" if self.flaky else ""),
            *("reason", self.reason or ""),
            *("message", self.message or ""),
            *("attempts", (b"[" + b",".join(attempts) + b"]").decode()),
            *("order", str(self.order)),
            *("seq", str(self.seq)),
        ]

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> JobDoc:
        """Read a hash; raises `BadMessageError` when it is not one of ours."""
        try:
            attempts = _attempts.validate_json(fields["attempts"])
            requires = fields["requires"]
            return cls(
                job_id=fields["job_id"],
                run_id=fields["run_id"],
                org_id=fields["org_id"],
                app_version_id=fields["app_version_id"],
                test=fields["test"],
                position=int(fields["position"]),
                priority=int(fields["priority"]),
                target=fields["target"] or None,
                requires=tuple(requires.split(",")) if requires else (),
                runner=fields["runner"],
                created_at=_read_time(fields["created_at"]),
                state=_states.validate_python(fields["state"]),
                attempt=int(fields["attempt"]),
                settled=bool(fields["settled"]),
                not_before=_read_time(fields["not_before"]),
                queued_at=_read_time(fields["queued_at"]),
                updated_at=_read_time(fields["updated_at"]),
                ended_at=_read_time(fields["ended_at"]),
                flaky=bool(fields["flaky"]),
                reason=fields["reason"] or None,
                message=fields["message"] or None,
                attempts={attempt.number: attempt for attempt in attempts},
                order=int(fields["order"]),
                seq=int(fields["seq"]),
            )
        except (KeyError, ValueError, ValidationError) as error:
            raise BadMessageError(f"not a job of the projection: {error}") from None


_states: TypeAdapter[JobState] = TypeAdapter(JobState)


@dataclass(slots=True)
class RunDoc:
    """What the events so far say of a run."""

    run_id: str
    org_id: str
    name: str | None = None
    size: int = 0
    """How many jobs it has by its own account; 0 until an event told."""
    created_at: float | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    """Known jobs by state."""
    begun: int = 0
    """Known jobs that were ever started on a slot."""
    ended_at: float | None = None
    """When the last of the ended jobs ended."""
    seq: int = 0

    @property
    def known(self) -> int:
        """How many of its jobs an event told of."""
        return sum(self.counts.values())

    @property
    def whole(self) -> int:
        """How many jobs it has, as far as that is known."""
        return max(self.size, self.known)

    @property
    def ended(self) -> bool:
        """Whether all its jobs ended."""
        done = sum(count for state, count in self.counts.items() if state in _ENDED)
        return 0 < self.whole == done

    def count(self, before: JobState | None, after: JobState) -> None:
        """A job went from one state to another; `None`: it is new."""
        if before == after:
            return
        if before is not None:
            left = self.counts.get(before, 0) - 1
            if left > 0:
                self.counts[before] = left
            else:
                self.counts.pop(before, None)
        self.counts[after] = self.counts.get(after, 0) + 1

    def view(self, jobs: tuple[JobView, ...] = ()) -> RunView:
        """The run as users see it; jobs that no event told of yet are counted as queued."""
        counts = dict(self.counts)
        if missing := self.whole - self.known:
            counts["queued"] = counts.get("queued", 0) + missing
        return RunView(
            run_id=self.run_id,
            org_id=self.org_id,
            name=self.name,
            state=run_state(counts, begun=self.begun > 0),
            size=self.whole,
            counts=counts,
            created_at=self.created_at,
            jobs=jobs,
        )

    def fields(self) -> list[str]:
        """The document as the fields and values of a hash, in turn."""
        return [
            *("run_id", self.run_id),
            *("org_id", self.org_id),
            *("name", self.name or ""),
            *("size", str(self.size)),
            *("created_at", _time(self.created_at)),
            *("state", run_state(self.view().counts, begun=self.begun > 0)),
            *("counts", json.dumps(self.counts, sort_keys=True)),
            *("begun", str(self.begun)),
            *("ended_at", _time(self.ended_at)),
            *("seq", str(self.seq)),
        ]

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> RunDoc:
        """Read a hash; raises `BadMessageError` when it is not one of ours."""
        try:
            return cls(
                run_id=fields["run_id"],
                org_id=fields["org_id"],
                name=fields["name"] or None,
                size=int(fields["size"]),
                created_at=_read_time(fields["created_at"]),
                counts=_counts.validate_json(fields["counts"]),
                begun=int(fields["begun"]),
                ended_at=_read_time(fields["ended_at"]),
                seq=int(fields["seq"]),
            )
        except (KeyError, ValueError, ValidationError) as error:
            raise BadMessageError(f"not a run of the projection: {error}") from None


def run_state(counts: Mapping[str, int], *, begun: bool) -> RunState:
    """A run's state from how many of its jobs are in which state.

    `begun`: whether any of them was ever started. When all ended, the lab's errors weigh most,
    then failures, then what was cancelled or expired.
    """
    present = {state for state, count in counts.items() if count > 0}
    if not present:
        return "queued"
    if present - _ENDED:
        return "running" if begun or present - NOT_STARTED - _ENDED else "queued"
    if "errored" in present:
        return "errored"
    if present & {"failed", "timed_out"}:
        return "failed"
    if present & {"cancelled", "expired"}:
        return "cancelled"
    return "passed"


def _time(value: float | None) -> str:
    return "" if value is None else repr(value)


def _read_time(text: str) -> float | None:
    return float(text) if text else None
