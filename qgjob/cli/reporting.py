"""Collect what a report shows: the run, and the end of the output of those jobs where it matters."""

from __future__ import annotations

import asyncio
from typing import Final

from bus_schemas.requests import JobView, RunView
from qgjob.client import Client
from qgjob.errors import QgjobError
from qgjob.report.model import RunReport

LOG_CHARACTERS: Final = 64 * 1024
"""The end of each log that a report keeps."""
MAX_LOGS: Final = 200
_AT_ONCE: Final = 8


async def collect(client: Client, any_id: str, *, logs: str = "failed") -> RunReport:
    """A report of a run or a job as it is now; raises `NotFoundError`.

    `logs`: whose output to fetch: `failed` (whatever did not simply pass), `all` or `none`.
    """
    found = await client.get(any_id)
    jobs = found.jobs if isinstance(found, RunView) else (found,)
    title = (found.name if isinstance(found, RunView) else None) or any_id
    wanted = [job for job in jobs if job.attempts and (logs == "all" or (logs == "failed" and _bad(job)))]
    limit = asyncio.Semaphore(_AT_ONCE)

    async def read(job: JobView) -> tuple[str, str]:
        async with limit:
            return job.job_id, await _log(client, job.job_id)

    texts = dict(await asyncio.gather(*map(read, wanted[:MAX_LOGS])))
    return RunReport(
        title=title,
        jobs=jobs,
        run=found if isinstance(found, RunView) else None,
        at=client.clock.now(),
        logs=texts,
    )


def _bad(job: JobView) -> bool:
    return job.state != "passed" or job.flaky


async def _log(client: Client, job_id: str) -> str:
    """The end of a job's output; a log that cannot be read is said to be so, and spoils nothing."""
    kept = ""
    try:
        async for chunk in client.logs(job_id):
            kept = (kept + "".join(text for _, text in chunk.parts))[-LOG_CHARACTERS:]
    except QgjobError as error:
        kept += f"\n[the rest of the output cannot be read: {error.message}]"
    return kept
