"""The results of the demo: the figures of its table, and whether it went as it was designed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bus_schemas.events import Attempt
from bus_schemas.queries import JobView
from qgjob.demo.plan import SLOTS, Plan
from qgjob.demo.record import Record
from qgjob.demo.replay import Arrival, Replay, first_come
from qgjob.demo.spans import Span, spans_of
from qgjob.domain.lifecycle import TERMINAL


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that did not pass."""

    version: str
    test: str
    state: str
    job_id: str
    line: str
    """The assertion that did not hold, from the test's own output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFigures:
    """A column of the table."""

    version: str
    jobs: int
    passed: int
    failed: int
    other: int
    """Neither passed nor failed."""
    installs: int
    installs_first_come: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole result."""

    slots: int
    builds: tuple[BuildFigures, ...]
    failures: tuple[Failure, ...]
    differences: tuple[str, ...]
    """What was not as designed; none is success."""
    began: float
    """When the first job came, seconds since 1970."""
    seconds: float
    """From the first job's coming to the last one's end."""
    seconds_first_come: float
    install_s: float
    """The mean of the installs that were made."""
    spans: tuple[Span, ...]
    replay: Replay

    @property
    def ok(self) -> bool:
        """Whether the demo went as designed."""
        return not self.differences

    @property
    def total(self) -> BuildFigures:
        """All builds together."""
        return BuildFigures(
            version="all",
            jobs=sum(build.jobs for build in self.builds),
            passed=sum(build.passed for build in self.builds),
            failed=sum(build.failed for build in self.builds),
            other=sum(build.other for build in self.builds),
            installs=sum(build.installs for build in self.builds),
            installs_first_come=sum(build.installs_first_come for build in self.builds),
        )

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "ok": self.ok,
            "differences": list(self.differences),
            "slots": self.slots,
            **_figures_json(self.total),
            "seconds": round(self.seconds, 2),
            "seconds_first_come": round(self.seconds_first_come, 2),
            "install_seconds": round(self.install_s, 3),
            "builds": [{"app_version_id": b.version, **_figures_json(b)} for b in self.builds],
            "failures": [
                {
                    "app_version_id": f.version,
                    "test": f.test,
                    "state": f.state,
                    "job_id": f.job_id,
                    "line": f.line,
                }
                for f in self.failures
            ],
        }


def make_report(
    plan: Plan, record: Record, lines: Mapping[str, str], *, slots: int, now: float, more: Sequence[str] = ()
) -> Report:
    """The report on what was recorded.

    `lines`: the assertion of each job that failed; `more`: differences that were found elsewhere.
    """
    jobs = record.jobs
    made = [attempt.install_s for _, attempt in record.attempts() if attempt.installed and attempt.install_s]
    install_s = sum(made) / len(made) if made else 0.0
    replay = first_come(
        [arrival for job in jobs if (arrival := _arrival(job))],
        slots,
        _mean_installs(record),
        default_install_s=install_s,
    )
    began = min((job.created_at for job in jobs), default=now)
    ended = max((job.ended_at or now for job in jobs), default=now)
    return Report(
        slots=slots,
        builds=tuple(_figures(version, jobs, record, replay) for version in plan.versions),
        failures=tuple(_failure(job, lines) for job in jobs if job.state in TERMINAL and _bad(job)),
        differences=(*differences(plan, record, replay, slots=slots), *more),
        began=began,
        seconds=ended - began,
        seconds_first_come=replay.ended_at - began,
        install_s=install_s,
        spans=tuple(spans_of(jobs, now)),
        replay=replay,
    )


def differences(plan: Plan, record: Record, replay: Replay, *, slots: int) -> list[str]:
    """Differences from the demo's design, a sentence each."""
    jobs = record.jobs
    sentences: list[str] = []
    if len(jobs) != plan.jobs:
        sentences.append(f"{len(jobs)} of {plan.jobs} jobs were submitted.")
    if waiting := [job for job in jobs if job.state not in TERMINAL]:
        sentences.append(f"{len(waiting)} jobs have not ended, {_named(waiting[0])} among them.")
    if twice := [job for job in jobs if record.ends[job.job_id] > 1]:
        sentences.append(f"{len(twice)} jobs have more than one result, {_named(twice[0])} among them.")
    if record.complete and (
        without := [job for job in jobs if job.state in TERMINAL and not record.ends[job.job_id]]
    ):
        sentences.append(f"{len(without)} jobs ended without a result, {_named(without[0])} among them.")
    for job in jobs:
        expected = "failed" if (job.app_version_id, job.test) in plan.broken else "passed"
        if job.state in TERMINAL and job.state != expected:
            reason = f": {job.message}" if job.message else ""
            sentences.append(f"{_named(job)} {job.state} instead of {expected}{reason}.")
    made, limit = record.installs.total(), slots + len(plan.versions)
    if slots == SLOTS and made > limit:  # what it takes with other numbers of slots is not laid down
        sentences.append(f"{made} installs were made; {limit} are enough for {slots} slots.")
    if not record.over:
        return sentences  # a replay of half of it compares nothing
    if made >= replay.total_installs:
        sentences.append(
            f"{made} installs were made; first come, first served needs {replay.total_installs}."
        )
    return sentences


def _figures(version: str, jobs: Sequence[JobView], record: Record, replay: Replay) -> BuildFigures:
    states = Counter(job.state for job in jobs if job.app_version_id == version)
    return BuildFigures(
        version=version,
        jobs=states.total(),
        passed=states["passed"],
        failed=states["failed"],
        other=states.total() - states["passed"] - states["failed"],
        installs=record.installs[version],
        installs_first_come=replay.installs.get(version, 0),
    )


def _figures_json(figures: BuildFigures) -> dict[str, int]:
    return {
        "jobs": figures.jobs,
        "passed": figures.passed,
        "failed": figures.failed,
        "other": figures.other,
        "installs": figures.installs,
        "installs_first_come": figures.installs_first_come,
    }


def _mean_installs(record: Record) -> dict[str, float]:
    made: dict[str, list[float]] = {}
    for version, attempt in record.attempts():
        if attempt.installed and attempt.install_s is not None:
            made.setdefault(version, []).append(attempt.install_s)
    return {version: sum(times) / len(times) for version, times in made.items()}


def _arrival(job: JobView) -> Arrival | None:
    """A job for the replay: its slot's time in all attempts, installs left out."""
    times = [_occupied_s(attempt) for attempt in job.attempts]
    if not times:
        return None
    return Arrival(job.created_at, job.app_version_id, sum(times), failed=_bad(job))


def _occupied_s(attempt: Attempt) -> float:
    if attempt.started_at is None or attempt.finished_at is None:
        return 0.0
    return max(attempt.finished_at - attempt.started_at - (attempt.install_s or 0.0), 0.0)


def _bad(job: JobView) -> bool:
    return job.state != "passed"


def _failure(job: JobView, lines: Mapping[str, str]) -> Failure:
    line = lines.get(job.job_id) or job.message or job.reason or ""
    return Failure(job.app_version_id, job.test, job.state, job.job_id, line)


def _named(job: JobView) -> str:
    return f"{job.test} of {job.app_version_id}"
