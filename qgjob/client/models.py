"""Parameters and results of the client, beside the views of `bus_schemas`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bus_schemas.events import AnyEvent
from bus_schemas.jobs import BlobRef
from bus_schemas.queries import JobView, RunView
from qgjob.domain.verdict import STRICT, VerdictRules, counts_of, missing_labels_of, verdict_of
from qgjob.errors import ExitCode

TransferProgress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """A run to be submitted: one job for each test."""

    org_id: str
    app_version_id: str
    tests: Sequence[str]
    """Paths inside the bundle, POSIX."""
    bundle: BlobRef | None = None
    """What `Client.upload_bundle` returned."""
    priority: int = 5
    target: str | None = None
    requires: Sequence[str] = ()
    runner: str = "auto"
    argv: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout_s: float = 900.0
    retries: int = 0
    infra_retries: int = 2
    expires_s: float = 43_200.0
    """How long a job may wait for its first start, from its submit or from `not_before`."""
    not_before: float | None = None
    """When the jobs may start first, in seconds since 1970."""
    max_parallel: int | None = None
    """How many of the run's jobs may be released or running at once; None: as many as slots take."""
    silence_timeout_s: float | None = None
    """How long a test may say nothing; None: for ever."""
    secrets: Sequence[str] = ()
    """Names of what the agent adds to the environment; the values never travel."""
    matrix: Sequence[str] = ()
    """Labels: each test runs once on a slot of each."""
    repeat: int = 1
    """How many jobs are made of each test, to hunt a flake."""
    shards: int | None = None
    """So many jobs of several test files each, balanced by what is known of their durations; None: a
    job for each file."""
    concurrency_key: str | None = None
    """This run takes the place of older ones of the organisation that have the same key: what is left of
    them is cancelled."""
    app_id: str | None = None
    platform: str | None = None
    """Which of the builds of that version; None: of each slot's platform, which is one of its labels."""
    name: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict[str, str])
    run_key: str | None = None
    """With a key, the ids derive from (org, key, position): a repeated submit adds nothing."""

    @property
    def label_sets(self) -> list[frozenset[str]]:
        """The labels that its jobs require of a slot: one set for each label of the matrix."""
        shared: frozenset[str] = frozenset(self.requires)
        if self.target:
            shared |= {self.target}
        return [shared | {label} for label in self.matrix] or [shared]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A run that is stored."""

    run_id: str
    jobs: tuple[JobView, ...]
    """As they were submitted: `queued`, without attempts."""
    accepted_before: bool = False
    """The same run had been submitted already, under the same run key; nothing was added."""

    @property
    def org_id(self) -> str:
        """The organisation of the run."""
        return self.jobs[0].org_id


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """An event as it was stored in `QG_EVENTS`."""

    event: AnyEvent
    seq: int
    """Its place in the stream."""


@dataclass(frozen=True, slots=True)
class Resync:
    """Messages may have been missed: take a new snapshot before going on."""

    reason: Literal["reconnected", "overrun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitOptions:
    """How long to wait, and for what."""

    timeout_s: float | None = None
    """Give up waiting, the jobs going on; None: as long as it takes."""
    no_slot_grace_s: float | None = 60.0
    """Cancel a job when no live slot's labels could ever run it for so long; None: never."""
    rules: VerdictRules = STRICT
    """What counts as a failure."""
    fail_fast: bool = False
    """Cancel what is left as soon as the whole cannot pass any more."""


@dataclass(frozen=True, slots=True)
class Waited:
    """How waiting ended."""

    id: str
    run: RunView | None
    """The run without its jobs, when a run was waited for and is known."""
    jobs: tuple[JobView, ...]
    timed_out: bool = False
    rules: VerdictRules = STRICT
    stopped_by: JobView | None = None
    """The job because of which the rest was cancelled, with `fail_fast`."""

    @property
    def no_slot(self) -> dict[str, str]:
        """Jobs that were cancelled because nothing could ever run them: which labels were missing."""
        missing = {job.job_id: missing_labels_of(job) for job in self.jobs}
        return {job_id: labels for job_id, labels in missing.items() if labels is not None}

    @property
    def verdict(self) -> ExitCode:
        """The exit code of the whole, by the order of the contract; WAIT_TIMEOUT when it ran out."""
        if self.timed_out:
            return ExitCode.WAIT_TIMEOUT
        if self.run is None or len(self.jobs) >= self.run.size:
            return verdict_of(self.jobs, rules=self.rules)
        # Others were refused, or ended so long ago that only their counts are kept.
        beside = Counter(self.run.counts) - Counter(counts_of(self.jobs))
        verdict = verdict_of(self.jobs, rules=self.rules, beside=beside)
        unknown = len(self.jobs) + beside.total() < self.run.size
        return ExitCode.CANCELLED if unknown and verdict is ExitCode.OK else verdict
