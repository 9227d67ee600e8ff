"""Waiting as `wait` and `submit --wait` do it: progress, report, verdict."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qgjob.cli.display.output import Output
from qgjob.cli.output_file import write_whole
from qgjob.cli.waiting.ending import SHOWN_FAILURES, print_end
from qgjob.cli.waiting.progress import progress_for
from qgjob.client.models import Submitted, Waited, WaitOptions
from qgjob.client.watching.watch import Watch
from qgjob.clock import SystemClock
from qgjob.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from qgjob.cli.session import Session
    from qgjob.client import Client
    from qgjob.reporting import AllCases, FailureDetails

_ENDS_WITHIN_S: Final = 15.0
"""By then what was cancelled has ended, but for what a lost machine ran; CI may kill us before."""


@dataclass(slots=True)
class WaitState:
    """How far a wait has come, for whoever interrupts it."""

    any_id: str | None = None
    """What is waited for; None while nothing of it was sent."""
    is_stored: bool = False
    """Whether that is known to be there."""
    ended: Waited | None = None
    """Set once all jobs have ended: nothing is left to detach from, or to cancel."""
    exit_code: int | None = None
    """Set once the result is printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitArguments:
    """The options of a command that waits."""

    options: WaitOptions
    junit: Path | None = None
    junit_cases: bool = False
    as_json: bool = False
    state: WaitState = field(default_factory=WaitState)


async def wait_and_print(
    client: Client, out: Output, any_id: str, waiting: WaitArguments, *, known: Submitted | None = None
) -> int:
    """Wait, write the report, print how it ended; returns the exit code."""
    watched: Watch | None = None
    details: FailureDetails | None = None
    try:
        with progress_for(out, SystemClock()) as progress:

            def on_change(watch: Watch) -> None:
                nonlocal watched
                watched = watch
                progress(watch)

            waited = await client.wait(any_id, waiting.options, known=known, on_change=on_change)
        if not waited.timed_out:
            waiting.state.ended = waited
        details = await _failure_details(client, waited, waiting)
        unwritten = await _write_report(client, out, waited, waiting, details)
    except asyncio.CancelledError:  # interrupted: at once, as CI may not leave time for more
        if waiting.junit is not None and watched is not None and watched.jobs:
            _write_interrupted(waiting.junit, out, any_id, watched, details)
        raise
    print_end(out, waited, details, as_json=waiting.as_json, timeout_s=waiting.options.timeout_s)
    code = int(waited.verdict)
    if unwritten is not None:  # print the result of the wait all the same
        _print_unwritten(out, waited.id, unwritten)
        code = code or int(ExitCode.ERROR)
    waiting.state.exit_code = code
    return code


async def report_interrupted(session: Session, any_id: str, waiting: WaitArguments) -> None:
    """After a wait was interrupted in CI: write its JUnit report again, as complete as it can be by now."""
    if waiting.junit is None:
        return
    options = WaitOptions(timeout_s=_ENDS_WITHIN_S, no_slot_grace_s=None)
    async with session.client(note_slow=False) as client:
        waited = await client.wait(any_id, options)
        details = await _failure_details(client, waited, waiting)
        unwritten = await _write_report(client, session.out, waited, waiting, details)
        if unwritten is not None:
            _print_unwritten(session.out, any_id, unwritten)


def _write_interrupted(
    path: Path, out: Output, any_id: str, watched: Watch, details: FailureDetails | None
) -> None:
    """Write what is known when a wait is interrupted; more would have to be asked for."""
    try:
        with _signals_ignored():
            write_junit(path, Waited(id=any_id, run=watched.run, jobs=watched.jobs), details, None)
    except UsageError as error:
        _print_unwritten(out, any_id, error)
    else:
        out.note(f"{path} says what had ended by then.")


@contextlib.contextmanager
def _signals_ignored() -> Generator[None]:
    """One signal seldom comes alone: a shell passes on what the CI sent to both."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_unwritten(out: Output, any_id: str, error: UsageError) -> None:
    out.error(error.message, hint=f"Write it again with: qgjob report {any_id} --output FILE")


async def _write_report(
    client: Client, out: Output, waited: Waited, waiting: WaitArguments, details: FailureDetails | None
) -> UsageError | None:
    """Write the JUnit report that was asked for; the error where it cannot be written.

    One without a test would be taken for a pass: where nothing is known there is none.
    """
    if waiting.junit is None or not waited.jobs:
        return None
    try:
        all_cases = await _read_all_cases(client, out, waited, details) if waiting.junit_cases else None
        write_junit(waiting.junit, waited, details, all_cases)
    except UsageError as error:
        return error
    return None


async def _failure_details(client: Client, waited: Waited, waiting: WaitArguments) -> FailureDetails | None:
    """Why jobs failed, as far as it will be shown; None when none failed."""
    if all(job.state == "passed" for job in waited.jobs):
        return None
    from qgjob.reporting import explain

    if waiting.junit is not None:
        return await explain(client, waited.jobs)
    return await explain(client, waited.jobs, at_most=SHOWN_FAILURES)


async def _read_all_cases(
    client: Client, out: Output, waited: Waited, details: FailureDetails | None
) -> AllCases:
    from qgjob.reporting import read_cases

    all_cases = await read_cases(client, waited.jobs, known=details.reports if details else {})
    if all_cases.unread:
        out.note(f"{all_cases.unread}.")
    return all_cases


def write_junit(
    path: Path, waited: Waited, details: FailureDetails | None, all_cases: AllCases | None
) -> None:
    """Write the JUnit report; raises `UsageError` when the file cannot be written."""
    from qgjob.report.junit import junit_xml

    try:
        write_whole(
            path,
            junit_xml(
                waited.jobs,
                name=waited.run.name if waited.run else None,
                run=waited.run,
                cases=details.cases if details else None,
                logs=details.logs if details else None,
                reports=all_cases.reports if all_cases else None,
            ),
        )
    except OSError as error:
        raise UsageError(f"--junit {path} cannot be written: {error.strerror or error}.") from None
