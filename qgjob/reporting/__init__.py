"""Collect what a report shows: the run, and the end of the output of those jobs where it matters.

For the command line and for scripts alike.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from bus_schemas.cases import MAX_CASES, CaseRecord, CaseReport
from bus_schemas.events import Attempt
from bus_schemas.queries import JobView, RunView
from qgjob.client import Client
from qgjob.domain.lifecycle import BAD_ENDS
from qgjob.domain.wording import pluralize, show_size
from qgjob.report.excerpt import failed_cases
from qgjob.report.model import RunReport, worst_first
from qgjob.reporting.fetcher import Fetcher

MAX_LOGS: Final = 200
MAX_REPORTS: Final = 2000
MAX_OUTPUTS: Final = 50
"""Of how many jobs that failed the output is fetched for a report that shows a few lines of each."""
_EXPLAIN_S: Final = 20.0
"""How long a verdict may wait for the words to it."""
MAX_SHOWN_CASES: Final = 100_000
"""Of how many cases a report that shows all of them may consist: readers take some ten megabytes."""
MAX_SHOWN_BYTES: Final = 64 * 2**20
"""Of the reports that these are read from."""
_MAX_ATTEMPTS: Final = 10
"""Of a job, of which cases are read: the last ones."""
_CASES_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report shows besides the jobs themselves."""

    logs: Literal["failed", "all", "none"] = "failed"
    """Whose output: of what did not simply pass, of all, or of none."""
    cases: bool = True
    explained: bool = False
    """Instead of all these: cases, or else output, of what failed; see `explain`."""
    reports: bool = False
    """What the test reports of all attempts say case by case; see `read_cases`."""
    pictures: bool = False
    attachments: Path | None = None
    """Where to download what jobs that did not simply pass left; None: nowhere."""


FAILURE_DETAILS_ONLY: Final = ReportOptions(logs="none", cases=False, explained=True)
"""The jobs, and why those that failed did: what a JUnit file or annotations show."""


async def collect(client: Client, any_id: str, options: ReportOptions) -> RunReport:
    """A report of a run or a job as it is now; raises `NotFoundError`."""
    view = await client.get(any_id)
    jobs = view.jobs if isinstance(view, RunView) else (view,)
    title = (view.name if isinstance(view, RunView) else None) or any_id
    with_attempts = [job for job in jobs if job.attempts]
    bad = [job for job in with_attempts if _bad(job)]
    fetcher = Fetcher(client)
    with_logs = {"all": with_attempts, "failed": bad, "none": []}[options.logs][:MAX_LOGS]
    explained = await explain(client, jobs) if options.explained else None
    known = explained.reports if explained else {}
    all_cases = await read_cases(client, jobs, known=known) if options.reports else None
    logs, cases, pictures, attachments = await asyncio.gather(
        fetcher.each(with_logs, fetcher.log),
        fetcher.each(with_attempts[:MAX_REPORTS] if options.cases else [], fetcher.cases),
        fetcher.each(bad[:MAX_LOGS] if options.pictures else [], fetcher.pictures),
        fetcher.each(
            bad if options.attachments else [],
            lambda job: fetcher.attachments(job, options.attachments or Path()),
        ),
    )
    return RunReport(
        title=title,
        jobs=jobs,
        run=view if isinstance(view, RunView) else None,
        at=client.clock.now(),
        logs=explained.logs if explained else logs,
        cases=explained.cases if explained else cases,
        reports=all_cases.reports if all_cases else None,
        unread=all_cases.unread if all_cases else "",
        pictures=pictures,
        attachments=attachments,
    )


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """What tells why jobs failed: by job, of its last attempt."""

    cases: dict[str, Sequence[CaseRecord]] = field(default_factory=dict[str, Sequence[CaseRecord]])
    logs: dict[str, str] = field(default_factory=dict[str, str])
    """The end of the output of those whose cases tell nothing."""
    reports: dict[str, CaseReport] = field(default_factory=dict[str, CaseReport])
    """Where the cases are from, also those that tell nothing: nobody needs to read them again."""


async def explain(
    client: Client, jobs: Sequence[JobView], *, at_most: int = MAX_REPORTS, logs: int = MAX_OUTPUTS
) -> FailureDetails:
    """Why jobs failed, of the first `at_most` that did; the output of at most `logs` of them.

    Never raises: what cannot be had, or not soon, is left out.
    """
    fetcher, details = Fetcher(client), FailureDetails()

    async def read(job: JobView) -> None:
        report = await fetcher.report(job.attempts[-1])
        if report is not None:
            details.reports[job.job_id] = report
            if failed_cases(report.cases):
                details.cases[job.job_id] = report.cases

    failed = [job for job in worst_first(jobs) if job.state in BAD_ENDS and job.attempts][:at_most]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_EXPLAIN_S):
            await fetcher.each([job for job in failed if job.attempts[-1].report], read)
            silent = [job for job in failed if job.job_id not in details.cases][:logs]
            details.logs.update(await fetcher.each(silent, fetcher.last_output))
    return details


@dataclass(slots=True)
class AllCases:
    """What the test reports of jobs say, by job and attempt."""

    reports: dict[str, dict[int, CaseReport]] = field(default_factory=dict[str, dict[int, CaseReport]])
    lost: int = 0
    """Jobs of whose last attempt the cases could not be had."""
    over: int = 0
    """Jobs whose cases were too many."""

    @property
    def unread(self) -> str:
        """Why some are not there, as a sentence without its full stop; empty when all are."""
        parts = [f"those of {pluralize(self.lost, 'job')} could not be read"] if self.lost else []
        if self.over:
            limits = f"{MAX_SHOWN_CASES:,} cases or {show_size(MAX_SHOWN_BYTES)} of reports"
            parts.append(f"those of {pluralize(self.over, 'job')} are over the limit of {limits}")
        return f"Not all cases are shown: {', '.join(parts)}; there each file is one case" if parts else ""


async def read_cases(
    client: Client, jobs: Sequence[JobView], *, known: Mapping[str, CaseReport] = MappingProxyType({})
) -> AllCases:
    """The cases of all attempts, of failed jobs first, until they are too many.

    `known`: reports of last attempts that were read already, by job. Never raises: what cannot be had, or not
    soon, is left out.
    """
    fetcher, cases = Fetcher(client), AllCases()
    wanted: list[JobView] = []
    room, room_bytes = MAX_SHOWN_CASES, MAX_SHOWN_BYTES
    for job in worst_first(jobs):
        if not job.attempts or job.attempts[-1].report is None:
            continue  # the file is one case, whatever earlier attempts say
        attempts = job.attempts[-_MAX_ATTEMPTS:]
        count = sum(map(_stored_cases, attempts))
        size = sum(one.report.size for one in attempts if one.report)
        if count > room or size > room_bytes:
            cases.over += 1
            continue
        room -= count
        room_bytes -= size
        wanted.append(job)

    async def read(job: JobView) -> bool:
        last = {job.attempts[-1].number: known.get(job.job_id)}
        attempts = job.attempts[-_MAX_ATTEMPTS:]
        reports = {one.number: last.get(one.number) or await fetcher.report(one) for one in attempts}
        cases.reports[job.job_id] = {number: report for number, report in reports.items() if report}
        return True

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CASES_S):
            await fetcher.each(wanted, read)
    cases.lost = sum(job.attempts[-1].number not in cases.reports.get(job.job_id, ()) for job in wanted)
    return cases


def _stored_cases(attempt: Attempt) -> int:
    counts = attempt.cases
    if counts is None or attempt.report is None:
        return 0
    return min(counts.passed + counts.failed + counts.skipped, MAX_CASES)


def _bad(job: JobView) -> bool:
    return job.state != "passed" or job.flaky
