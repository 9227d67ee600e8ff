"""Fetches what a report shows of jobs: the end of their output, cases, pictures and artifacts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from bus_schemas.cases import CaseRecord, CaseReport
from bus_schemas.events import Attempt
from bus_schemas.logs import StoredChunk
from bus_schemas.queries import JobView
from qgjob.client import Client
from qgjob.client.requests.artifacts import of_jobs
from qgjob.errors import QgjobError
from qgjob.report.excerpt import JUNIT_LINES
from qgjob.report.model import Picture

LOG_CHARACTERS: Final = 64 * 1024
LOG_LINES: Final = 4000
"""The end of each log that a report keeps: so much, and so many lines."""
EXCERPT_CHARACTERS: Final = 16 * 1024
"""The end of each log that lines are taken from."""
MAX_PICTURE_BYTES: Final = 2**20
PICTURES: Final = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}
_PICTURES_EACH: Final = 4
_AT_ONCE: Final = 8
_JUST_NOW_S: Final = 5.0
"""So long after a job has ended the last lines of its output may still be on their way."""

T = TypeVar("T")


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


class Fetcher:
    """Fetches a little of many jobs, some at a time; what cannot be read is left out, or said in the text."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def each(
        self, jobs: Sequence[JobView], fetch: Callable[[JobView], Coroutine[Any, Any, T]]
    ) -> dict[str, T]:
        """What `fetch` returns of each job, by job; nothing of those for which that is empty."""

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
