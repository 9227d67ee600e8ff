"""The documents of the projection, a job's and a run's, as hashes in the store; a run as its users see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from bus_schemas.events import Attempt
from bus_schemas.queries import JobState, JobView, RunView
from qgjob.domain.history import JobDoc
from qgjob.domain.lifecycle import TERMINAL
from qgjob.domain.verdict import run_state
from qgjob.errors import BadMessageError

_attempts: TypeAdapter[list[Attempt]] = TypeAdapter(list[Attempt])
_counts: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
_texts: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])
_tests: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
_states: TypeAdapter[JobState] = TypeAdapter(JobState)


def job_fields(doc: JobDoc) -> list[str]:
    """A job as the fields and values of a hash, in turn."""
    attempts = [doc.attempts[n].__pydantic_serializer__.to_json(doc.attempts[n], exclude_none=True)
                for n in sorted(doc.attempts)]  # fmt: skip
    return [
        *("job_id", doc.job_id),
        *("run_id", doc.run_id),
        *("org_id", doc.org_id),
        *("app_version_id", doc.app_version_id),
        *("test", doc.test),
        *("tests", json.dumps(doc.tests) if doc.tests else ""),
        *("variant", doc.variant or ""),
        *("position", str(doc.position)),
        *("priority", str(doc.priority)),
        *("target", doc.target or ""),
        *("requires", ",".join(doc.requires)),
        *("runner", doc.runner),
        *("created_at", _time(doc.created_at)),
        *("state", doc.state),
        *("attempt", str(doc.attempt)),
        *("settled", "1" if doc.settled else ""),
        *("not_before", _time(doc.not_before)),
        *("queued_at", _time(doc.queued_at)),
        *("updated_at", _time(doc.updated_at)),
        *("ended_at", _time(doc.ended_at)),
        *("flaky", "1" if doc.flaky else ""),
        *("reason", doc.reason or ""),
        *("message", doc.message or ""),
        *("attempts", (b"[" + b",".join(attempts) + b"]").decode()),
        *("order", str(doc.order)),
        *("seq", str(doc.seq)),
    ]


def read_job(fields: Mapping[str, str]) -> JobDoc:
    """Read a hash; raises `BadMessageError` when it is not one of ours."""
    try:
        attempts = _attempts.validate_json(fields["attempts"])
        requires = fields["requires"]
        return JobDoc(
            job_id=fields["job_id"],
            run_id=fields["run_id"],
            org_id=fields["org_id"],
            app_version_id=fields["app_version_id"],
            test=fields["test"],
            tests=_tests.validate_json(fields.get("tests") or "[]"),
            variant=fields.get("variant") or None,
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


@dataclass(slots=True)
class RunDoc:
    """What the events so far say of a run."""

    run_id: str
    org_id: str
    name: str | None = None
    meta: dict[str, str] = field(default_factory=dict[str, str])
    """What its submitter said of it."""
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
        done = sum(count for state, count in self.counts.items() if state in TERMINAL)
        return 0 < self.whole == done

    def count(self, before: JobState | None, after: JobState) -> None:
        """Count a job's change of state; `None`: it is new."""
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
            meta=self.meta,
            jobs=jobs,
        )

    def fields(self) -> list[str]:
        """The document as the fields and values of a hash, in turn."""
        return [
            *("run_id", self.run_id),
            *("org_id", self.org_id),
            *("name", self.name or ""),
            *("meta", json.dumps(self.meta)),
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
                meta=_texts.validate_json(fields.get("meta", "{}")),
                size=int(fields["size"]),
                created_at=_read_time(fields["created_at"]),
                counts=_counts.validate_json(fields["counts"]),
                begun=int(fields["begun"]),
                ended_at=_read_time(fields["ended_at"]),
                seq=int(fields["seq"]),
            )
        except (KeyError, ValueError, ValidationError) as error:
            raise BadMessageError(f"not a run of the projection: {error}") from None


def _time(value: float | None) -> str:
    return "" if value is None else repr(value)


def _read_time(text: str) -> float | None:
    return float(text) if text else None
