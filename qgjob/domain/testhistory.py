"""Statistics of a test's last outcomes: failures, flakiness, durations. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bus_schemas.history import OutcomeRecord
from qgjob.domain.lifecycle import FAILURES


@dataclass(frozen=True, slots=True)
class HistorySummary:
    """The outcomes of a test in numbers; a job is a submit of it, an attempt one try of a job."""

    attempts: int
    jobs: int
    passed: int
    """Jobs that passed at last; the flaky ones are among them."""
    failed: int
    """Jobs whose last attempt failed or timed out."""
    errored: int
    """Jobs of which the lab did not bring about a result."""
    flaky: int
    """Jobs that passed after a failure, or within an attempt only when tried again."""
    median_s: float | None
    slowest_s: float | None

    @property
    def flakiness(self) -> float:
        """The share of flaky jobs among those with a result, 0 to 1."""
        with_result = self.passed + self.failed
        return self.flaky / with_result if with_result else 0.0

    @property
    def failure_rate(self) -> float:
        """The share of failed jobs among those with a result, 0 to 1."""
        with_result = self.passed + self.failed
        return self.failed / with_result if with_result else 0.0


def summarise(outcomes: Sequence[OutcomeRecord]) -> HistorySummary:
    """Count the outcomes, in whatever order."""
    jobs: dict[tuple[str, str], list[OutcomeRecord]] = {}
    for record in outcomes:
        jobs.setdefault((record.org_id, record.job_id), []).append(record)
    passed = failed = errored = flaky = 0
    for attempts in jobs.values():
        *earlier, last = sorted(attempts, key=lambda record: record.attempt)
        passed += last.outcome == "passed"
        failed += last.outcome in FAILURES
        errored += last.outcome == "errored"
        stumbled = last.flaky or any(record.outcome in FAILURES for record in earlier)
        flaky += last.outcome == "passed" and stumbled
    # A run that was cut off says nothing about the duration.
    seconds = [
        record.duration_s
        for record in outcomes
        if record.duration_s is not None and record.outcome in {"passed", "failed"}
    ]
    return HistorySummary(
        attempts=len(outcomes),
        jobs=len(jobs),
        passed=passed,
        failed=failed,
        errored=errored,
        flaky=flaky,
        median_s=median(seconds) if seconds else None,
        slowest_s=max(seconds, default=None),
    )
