"""Collect what a report shows: the run, and the end of the output of those jobs where it matters.

For the command line and for scripts alike.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from bus_schemas.cases import MAX_CASES, CaseRecord, CaseReport
from bus_schemas.events import Attempt
from bus_schemas.logs import StoredChunk
from bus_schemas.queries import JobView, RunView
from qgjob.client import Client
from qgjob.client.requests.artifacts import of_jobs
from qgjob.domain.wording import pluralize
from qgjob.errors import QgjobError
from qgjob.report.excerpt import JUNIT_LINES, failed_cases
from qgjob.report.model import Picture, RunReport, worst_first

LOG_CHARACTERS: Final = 64 * 1024
LOG_LINES: Final = 4000
"""The end of each log that a report keeps: so much, and so many lines."""
EXCERPT_CHARACTERS: Final = 16 * 1024
"""The end of each log that lines are taken from."""
MAX_LOGS: Final = 200
MAX_REPORTS: Final = 2000
MAX_OUTPUTS: Final = 50
"""Of how many jobs that failed the output is fetched for a report that shows a few lines of each."""
MAX_PICTURE_BYTES: Final = 2**20
PICTURES: Final = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}
_PICTURES_EACH: Final = 4
_AT_ONCE: Final = 8
_JUST_NOW_S: Final = 5.0
_EXPLAIN_S: Final = 20.0
"""How long a verdict may wait for the words to it."""
MAX_SHOWN_CASES: Final = 100_000
"""Of how many cases a report that shows all of them may consist: readers take some ten megabytes."""
MAX_SHOWN_BYTES: Final = 64 * 2**20
"""Of the reports that these are read from."""
_MAX_ATTEMPTS: Final = 10
"""Of a job, of which cases are read: the last ones."""
_CASES_S: Final = 120.0

EXPLAINED: Final = frozenset({"failed", "timed_out", "errored"})

T = TypeVar("T")


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
    found = await client.get(any_id)
    jobs = found.jobs if isinstance(found, RunView) else (found,)
    title = (found.name if isinstance(found, RunView) else None) or any_id
    with_attempts = [job for job in jobs if job.attempts]
    bad = [job for job in with_attempts if _bad(job)]
    fetcher = _Fetcher(client)
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
        run=found if isinstance(found, RunView) else None,
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
    fetcher, details = _Fetcher(client), FailureDetails()

    async def read(job: JobView) -> None:
        report = await fetcher.report(job.attempts[-1])
        if report is not None:
            details.reports[job.job_id] = report
            if failed_cases(report.cases):
                details.cases[job.job_id] = report.cases

    failed = [job for job in worst_first(jobs) if job.state in EXPLAINED and job.attempts][:at_most]
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
            limits = f"{MAX_SHOWN_CASES:,} cases or {MAX_SHOWN_BYTES // 2**20} MiB of reports"
            parts.append(f"those of {pluralize(self.over, 'job')} are over the limit of {limits}")
        return f"Not all cases are shown: {', '.join(parts)}; there each file is one case" if parts else ""


async def read_cases(
    client: Client, jobs: Sequence[JobView], *, known: Mapping[str, CaseReport] = MappingProxyType({})
) -> AllCases:
    """The cases of all attempts, of failed jobs first, until they are too many.

    `known`: reports of last attempts that were read already, by job. Never raises: what cannot be had, or not
    soon, is left out.
    """
    fetcher, cases = _Fetcher(client), AllCases()
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


class _OutputEnd:
    """The end of the output of one attempt, the test's and the agent's own."""

    def __init__(self, attempt: int) -> None:
        self._attempt = attempt
        self.test_output = ""
        self._agent_output = ""
        self.complete = False

    @property
    def agent_lines(self) -> str:
        """The agent's own lines, without slot and runner, which are shown elsewhere."""
        lines = self._agent_output.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("--- "))

    def take(self, chunk: StoredChunk) -> None:
        """Add a chunk of the job's."""
        if chunk.attempt != self._attempt:
            return
        self.complete = self.complete or chunk.eof
        for stream, text in chunk.parts:
            if stream != "sys":
                self.test_output = (self.test_output + text)[-EXCERPT_CHARACTERS:]
            else:
                self._agent_output = (self._agent_output + text)[-EXCERPT_CHARACTERS:]


class _Fetcher:
    """Fetches a little of many jobs, some at a time; what cannot be read is left out or said, never fatal."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def each(
        self, jobs: Sequence[JobView], fetch: Callable[[JobView], Coroutine[Any, Any, T]]
    ) -> dict[str, T]:
        async def one(job: JobView) -> tuple[str, T]:
            async with self._limit:
                return job.job_id, await fetch(job)

        return {job_id: found for job_id, found in await asyncio.gather(*map(one, jobs)) if found}

    async def log(self, job: JobView) -> str:
        """The end of the output."""
        kept = ""
        try:
            async for chunk in self._client.logs(job.job_id, tail=LOG_LINES):
                kept = (kept + "".join(text for _, text in chunk.parts))[-LOG_CHARACTERS:]
        except QgjobError as error:
            kept += f"\n[the rest of the output cannot be read: {error.message}]"
        return kept

    async def last_output(self, job: JobView) -> str:
        """The end of what the last attempt's test wrote, or if that is nothing of what the agent says.

        Of a job that has ended just now the last lines may still be on their way: they are waited for.
        """
        ended_s = self._client.clock.now() - (job.ended_at or 0.0)
        end = _OutputEnd(job.attempts[-1].number)
        for follow in (False, True) if ended_s < _JUST_NOW_S else (False,):
            end = _OutputEnd(job.attempts[-1].number)
            with contextlib.suppress(QgjobError):
                given = self._client.logs(job.job_id, follow=follow, tail=JUNIT_LINES)
                async with contextlib.aclosing(given) as chunks:
                    async for chunk in chunks:
                        end.take(chunk)
            if end.complete:
                break
        return end.test_output if end.test_output.strip() else end.agent_lines

    async def cases(self, job: JobView) -> Sequence[CaseRecord]:
        """The cases of the last attempt's test report."""
        report = await self.report(job.attempts[-1])
        return report.cases if report else ()

    async def report(self, attempt: Attempt) -> CaseReport | None:
        """What an attempt's test report says; None when it cannot be had."""
        try:
            return await self._client.cases(attempt)
        except QgjobError:  # kept for a time only
            return None

    async def attachments(self, job: JobView, folder: Path) -> Sequence[str]:
        """Download the artifacts of the attempts to `folder`; their paths."""
        paths: list[str] = []
        for artifact in of_jobs([job]):
            with contextlib.suppress(QgjobError):
                paths.append((await self._client.download_artifact(artifact, folder)).as_posix())
        return paths

    async def pictures(self, job: JobView) -> Sequence[Picture]:
        """Screenshots of the last attempt."""
        pictures: list[Picture] = []
        for artifact in job.attempts[-1].artifacts:
            kind = PICTURES.get(artifact.name.rpartition(".")[2].lower())
            if kind is None or artifact.blob.size > MAX_PICTURE_BYTES or len(pictures) == _PICTURES_EACH:
                continue
            with contextlib.suppress(QgjobError):
                data = await self._client.small_file(artifact.blob, limit=MAX_PICTURE_BYTES)
                pictures.append(Picture(artifact.name, kind, data))
        return pictures
