"""Collect what a report shows: the run, and the end of the output of those jobs where it matters."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from bus_schemas.cases import CaseRecord
from bus_schemas.requests import JobView, RunView
from qgjob.client import Client
from qgjob.client.downloads import of_jobs
from qgjob.errors import QgjobError
from qgjob.report.model import Picture, RunReport

LOG_CHARACTERS: Final = 64 * 1024
"""The end of each log that a report keeps."""
MAX_LOGS: Final = 200
MAX_REPORTS: Final = 2000
MAX_PICTURE_BYTES: Final = 2**20
PICTURES: Final = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}
_PICTURES_EACH: Final = 4
_AT_ONCE: Final = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is to show beside the jobs themselves."""

    logs: Literal["failed", "all", "none"] = "failed"
    """Whose output: of what did not simply pass, of all, or of none."""
    cases: bool = True
    pictures: bool = False
    attachments: Path | None = None
    """Where to download what jobs that did not simply pass left; None: nowhere."""


async def collect(client: Client, any_id: str, wanted: Wanted) -> RunReport:
    """A report of a run or a job as it is now; raises `NotFoundError`."""
    found = await client.get(any_id)
    jobs = found.jobs if isinstance(found, RunView) else (found,)
    title = (found.name if isinstance(found, RunView) else None) or any_id
    told = [job for job in jobs if job.attempts]
    bad = [job for job in told if _bad(job)]
    gather = _Gather(client)
    with_logs = {"all": told, "failed": bad, "none": []}[wanted.logs][:MAX_LOGS]
    logs, cases, pictures, attachments = await asyncio.gather(
        gather.each(with_logs, gather.log),
        gather.each(told[:MAX_REPORTS] if wanted.cases else [], gather.cases),
        gather.each(bad[:MAX_LOGS] if wanted.pictures else [], gather.pictures),
        gather.each(
            bad if wanted.attachments else [],
            lambda job: gather.attachments(job, wanted.attachments or Path()),
        ),
    )
    return RunReport(
        title=title,
        jobs=jobs,
        run=found if isinstance(found, RunView) else None,
        at=client.clock.now(),
        logs=logs,
        cases=cases,
        pictures=pictures,
        attachments=attachments,
    )


def _bad(job: JobView) -> bool:
    return job.state != "passed" or job.flaky


class _Gather:
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
            async for chunk in self._client.logs(job.job_id):
                kept = (kept + "".join(text for _, text in chunk.parts))[-LOG_CHARACTERS:]
        except QgjobError as error:
            kept += f"\n[the rest of the output cannot be read: {error.message}]"
        return kept

    async def cases(self, job: JobView) -> Sequence[CaseRecord]:
        """What the last attempt's test report has."""
        try:
            found = await self._client.cases(job.attempts[-1])
        except QgjobError:  # kept for a time only
            return ()
        return found.cases if found else ()

    async def attachments(self, job: JobView, folder: Path) -> Sequence[str]:
        """Paths of what the attempts left, downloaded to `folder`."""
        found: list[str] = []
        for artifact in of_jobs([job]):
            with contextlib.suppress(QgjobError):
                found.append((await self._client.download_artifact(artifact, folder)).as_posix())
        return found

    async def pictures(self, job: JobView) -> Sequence[Picture]:
        """Screenshots of the last attempt."""
        found: list[Picture] = []
        for artifact in job.attempts[-1].artifacts:
            kind = PICTURES.get(artifact.name.rpartition(".")[2].lower())
            if kind is None or artifact.blob.size > MAX_PICTURE_BYTES or len(found) == _PICTURES_EACH:
                continue
            with contextlib.suppress(QgjobError):
                data = await self._client.small_file(artifact.blob, limit=MAX_PICTURE_BYTES)
                found.append(Picture(artifact.name, kind, data))
        return found
