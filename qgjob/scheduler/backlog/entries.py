"""The leader's in-memory backlog: an entry for every job that has not ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern

from bus_schemas.jobs import JobMessage, capability_of
from qgjob.domain.placement.model import GroupKey, Job


@dataclass(slots=True, eq=False)
class Entry:
    """One live attempt: waiting in `QG_JOBS`, or released and not ended."""

    job_id: str
    run_id: str
    org_id: str
    attempt: int
    payload: bytes
    seq: int
    """Its place in `QG_JOBS`; 0 when it was found in `QG_WORK` only."""
    ack: str | None
    """Where to acknowledge it in `QG_JOBS`; None when that is done or not possible."""
    announced_at_post: int = 0
    """How many events were posted with that which tells what it is: it stays until they are stored."""
    maybe_ended: bool = False
    """It may have ended already: its chain is read before a release."""
    released: bool = False
    cancel: str | None = None
    """Why it is to be ended, once somebody asked, or it waited too long."""
    expired: bool = False
    """It waited too long: that is what its end is to say."""

    def message(self) -> JobMessage:
        """The job's message, decoded again: kept as bytes, a waiting job costs little."""
        return JobMessage.decode(self.payload)


@dataclass(slots=True)
class Backlog:
    """All live entries by job, and the jobs of each run."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    runs: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def add(self, entry: Entry) -> None:
        """Hold an entry; a later attempt replaces an earlier one."""
        self.entries[entry.job_id] = entry
        self.runs.setdefault(entry.run_id, set()).add(entry.job_id)

    def drop(self, job_id: str, attempt: int) -> Entry | None:
        """Let go of an attempt that ended; None when it is not held (any more)."""
        entry = self.entries.get(job_id)
        if entry is None or entry.attempt != attempt:
            return None
        del self.entries[job_id]
        jobs = self.runs.get(entry.run_id)
        if jobs is not None:
            jobs.discard(job_id)
            if not jobs:
                del self.runs[entry.run_id]
        return entry


def placement_job(message: JobMessage, arrived_at: float, order: int, *, priority: int | None = None) -> Job:
    """The job as the placement core sees it; `arrived_at` is the stream's time, as is all it waits by.

    `priority`: the one it has by now, if it is not that of its submit.
    """
    spec = message.spec
    # What may not start before a time waits from then on: it neither ages nor expires before.
    first = max(arrived_at, message.not_before or 0.0)
    expires = first + spec.expires_s if message.attempt == 1 else None
    return Job(
        job_id=spec.job_id,
        group=_group(spec.requires, spec.org_id, spec.app_version_id),
        test=intern(spec.test),
        priority=spec.priority if priority is None else priority,
        arrived_at=first,
        order=order,
        attempt=message.attempt,
        not_before=message.not_before,
        expires_at=expires,
        avoid=message.avoid,
        run_id=intern(spec.run_id),
        max_parallel=spec.max_parallel,
        files=spec.tests,
    )


@lru_cache(maxsize=16_384)
def _group(requires: tuple[str, ...], org_id: str, app_version_id: str) -> GroupKey:
    """The key of a group: all its jobs have the same object, which a million of them shows."""
    return GroupKey(capability_of(requires), org_id, app_version_id)
