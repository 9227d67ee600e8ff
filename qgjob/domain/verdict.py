"""Derives from the states of jobs their counts, their run's state, and the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from bus_schemas.queries import JobView, RunState
from qgjob.domain.history import has_begun
from qgjob.domain.lifecycle import FAILURES, NOT_STARTED, TERMINAL
from qgjob.errors import ExitCode


class _Verdict(NamedTuple):
    ends: frozenset[str]
    state: RunState
    code: ExitCode


_VERDICTS: Final[tuple[_Verdict, ...]] = (
    _Verdict(frozenset({"errored"}), "errored", ExitCode.INFRASTRUCTURE),
    _Verdict(FAILURES, "failed", ExitCode.FAILED),
    _Verdict(frozenset({"cancelled", "expired"}), "cancelled", ExitCode.CANCELLED),
    _Verdict(frozenset({"passed"}), "passed", ExitCode.OK),
)
"""The first of these that any job calls for is the whole's: the lab's errors weigh most."""


_NO_SLOT: Final = "no slot could run it: "


@dataclass(frozen=True, slots=True)
class VerdictRules:
    """What whoever waits counts as a failure, and how many failures they put up with."""

    fail_on_flaky: bool = False
    """A job that passed only after a failure counts as one that failed."""
    allow_failures: int = 0
    """So many failures of tests pass all the same; the lab's errors are not among them."""


STRICT: Final = VerdictRules()


def run_state(counts: Mapping[str, int], *, begun: bool) -> RunState:
    """A run's state from how many of its jobs are in which state.

    `begun`: whether any of them was ever started.
    """
    present = {state for state, count in counts.items() if count > 0}
    if not present:
        return "queued"
    if open_states := present - TERMINAL:
        return "running" if begun or open_states - NOT_STARTED else "queued"
    for verdict in _VERDICTS:
        if present & verdict.ends:
            return verdict.state
    return "passed"


def run_state_of(jobs: Collection[JobView]) -> RunState:
    """The state of a run with these jobs."""
    return run_state(counts_of(jobs), begun=any(has_begun(job.attempts) for job in jobs))


def counts_of(jobs: Iterable[JobView]) -> dict[str, int]:
    """How many jobs are in which state; states without jobs are left out."""
    return dict(Counter[str](job.state for job in jobs))


def failures_of(jobs: Iterable[JobView], rules: VerdictRules = STRICT) -> list[JobView]:
    """The jobs whose tests count as failed by these rules."""
    return [job for job in jobs if job.state in FAILURES or (rules.fail_on_flaky and job.flaky)]


def failed_tests(jobs: Iterable[JobView], rules: VerdictRules = STRICT) -> int:
    """How many tests count as failed: of a shard each of its files that failed, if its report tells."""
    return sum(max(1, _failed_files(job)) for job in failures_of(jobs, rules))


def _failed_files(job: JobView) -> int:
    return sum(file.outcome == "failed" for file in job.attempts[-1].files) if job.attempts else 0


def spoiler_of(jobs: Collection[JobView], rules: VerdictRules = STRICT) -> JobView | None:
    """A job because of which the whole cannot pass any more, whatever becomes of the others.

    That is the last of the failures that are one too many, or what the lab failed. What was cancelled
    or has expired is none: whoever cancels one job does not mean the others.
    """
    failures = failures_of(jobs, rules)
    if failed_tests(failures, rules) > rules.allow_failures:
        return max(failures, key=lambda job: job.ended_at or 0.0)
    return next((job for job in jobs if job.state == "errored"), None)


def why_no_slot(missing: str) -> str:
    """The reason with which a job is cancelled that no slot could run; `missing` says which labels."""
    return f"{_NO_SLOT}{missing}"


def missing_labels_of(job: JobView) -> str | None:
    """Which labels were missing of a job that was cancelled for want of a slot, whoever cancelled it."""
    if job.state != "cancelled" or not (job.message or "").startswith(_NO_SLOT):
        return None
    return (job.message or "").removeprefix(_NO_SLOT)


def verdict_of(
    jobs: Collection[JobView], *, rules: VerdictRules = STRICT, beside: Mapping[str, int] | None = None
) -> ExitCode:
    """The exit code of jobs that have ended; of those `beside` them only the states are known.

    Those that were cancelled for want of a slot weigh less than the lab's errors and more than
    failures. A job that has not ended counts as none of them.
    """
    present = set[str]()
    without_slot = False
    for job in jobs:
        if missing_labels_of(job) is not None:
            without_slot = True
        elif job.state not in FAILURES:
            present.add(job.state)
    others = beside or {}
    present |= {state for state in others if state not in FAILURES}
    failed = failed_tests(jobs, rules) + sum(others.get(state, 0) for state in FAILURES)
    if failed > rules.allow_failures:
        present.add("failed")
    code = next((verdict.code for verdict in _VERDICTS if present & verdict.ends), ExitCode.OK)
    return ExitCode.NO_SLOT if without_slot and code is not ExitCode.INFRASTRUCTURE else code
