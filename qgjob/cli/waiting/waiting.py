"""Waiting as `wait` and `submit --wait` do it: progress, report, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qgjob.cli.display.output import Output
from qgjob.cli.waiting.ending import SHOWN_FAILURES, tell
from qgjob.cli.waiting.progress import progress_for
from qgjob.client.models import Submitted, Waited, WaitOptions
from qgjob.clock import SystemClock
from qgjob.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from qgjob.client import Client
    from qgjob.reporting import EveryCase, Explained


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitArguments:
    """The options of a command that waits."""

    options: WaitOptions
    junit: Path | None = None
    junit_cases: bool = False
    as_json: bool = False


async def wait_and_tell(
    client: Client, out: Output, any_id: str, waiting: WaitArguments, *, known: Submitted | None = None
) -> int:
    """Wait, write the report, print how it ended; returns the exit code."""
    with progress_for(out, SystemClock()) as progress:
        waited = await client.wait(any_id, waiting.options, known=known, on_change=progress)
    explained = await _explained(client, waited, waiting)
    unwritten: UsageError | None = None
    if waiting.junit is not None:
        try:
            every = await _every_case(client, out, waited) if waiting.junit_cases else None
            write_junit(waiting.junit, waited, explained, every)
        except UsageError as error:
            unwritten = error
    tell(out, waited, explained, as_json=waiting.as_json, timeout_s=waiting.options.timeout_s)
    if unwritten is not None:  # print the result of the wait all the same
        out.error(unwritten.message, hint=f"Write it again with: qgjob report {waited.id} --output FILE")
        return int(waited.verdict) or int(ExitCode.ERROR)
    return int(waited.verdict)


async def _explained(client: Client, waited: Waited, waiting: WaitArguments) -> Explained | None:
    """Why jobs failed, as far as it will be shown; None when none failed."""
    if all(job.state == "passed" for job in waited.jobs):
        return None
    from qgjob.reporting import explain

    if waiting.junit is not None:
        return await explain(client, waited.jobs)
    return await explain(client, waited.jobs, at_most=SHOWN_FAILURES)


async def _every_case(client: Client, out: Output, waited: Waited) -> EveryCase:
    from qgjob.reporting import read_cases

    every = await read_cases(client, waited.jobs)
    if every.unread:
        out.note(f"{every.unread}.")
    return every


def write_junit(path: Path, waited: Waited, explained: Explained | None, every: EveryCase | None) -> None:
    """Write the JUnit report; raises `UsageError` when the file cannot be written."""
    from qgjob.report.junit import junit_xml

    name = (waited.run.name if waited.run else None) or waited.id
    try:
        path.write_bytes(
            junit_xml(
                waited.jobs,
                name=name,
                run=waited.run,
                cases=explained.cases if explained else None,
                logs=explained.logs if explained else None,
                reports=every.reports if every else None,
            )
        )
    except OSError as error:
        raise UsageError(f"--junit {path} cannot be written: {error.strerror or error}.") from None
