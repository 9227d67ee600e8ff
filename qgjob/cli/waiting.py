"""Waiting as `wait` and `submit --wait` do it: progress, report, verdict, and Ctrl-C as a detaching."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bus_schemas.requests import RunView
from qgjob.cli.ci import in_ci
from qgjob.cli.goingon import going_on
from qgjob.cli.output import Output
from qgjob.cli.progress import progress_for
from qgjob.cli.render import summary, why
from qgjob.cli.session import Session, run
from qgjob.client.models import Submitted, Waited, WaitOptions
from qgjob.client.shapes import job_json
from qgjob.clock import SystemClock
from qgjob.domain.verdict import counts_of, failed_tests, failures_of, run_state_of
from qgjob.errors import ExitCode, QgjobError, UsageError

if TYPE_CHECKING:
    from qgjob.client import Client
    from qgjob.reporting import Explained

SHOWN_FAILURES: Final = 3
"""Of how many of them it is shown at the end of a wait why."""
SHOWN_LINES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitWishes:
    """What the options of a waiting command ask for."""

    options: WaitOptions
    junit: Path | None = None
    as_json: bool = False


async def wait_and_tell(
    client: Client, out: Output, any_id: str, wishes: WaitWishes, *, known: Submitted | None = None
) -> int:
    """Wait, write the report, print how it ended; returns the exit code."""
    with progress_for(out, SystemClock()) as progress:
        waited = await client.wait(any_id, wishes.options, known=known, on_change=progress)
    explained = await _explained(client, waited, wishes)
    unwritten: UsageError | None = None
    if wishes.junit is not None:
        try:
            write_junit(wishes.junit, waited, explained)
        except UsageError as error:
            unwritten = error
    tell(out, waited, wishes, explained)
    if unwritten is not None:  # what was waited for so long is said all the same
        out.error(unwritten.message, hint=f"Write it again with: qgjob report {waited.id} --output FILE")
        return int(waited.verdict) or int(ExitCode.ERROR)
    return int(waited.verdict)


async def _explained(client: Client, waited: Waited, wishes: WaitWishes) -> Explained | None:
    """Why it failed, as far as that will be shown; None when nothing failed."""
    if all(job.state == "passed" for job in waited.jobs):
        return None
    from qgjob.reporting import explain

    if wishes.junit is not None:
        return await explain(client, waited.jobs)
    return await explain(client, waited.jobs, at_most=SHOWN_FAILURES)


def write_junit(path: Path, waited: Waited, explained: Explained | None) -> None:
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
            )
        )
    except OSError as error:
        raise UsageError(f"--junit {path} cannot be written: {error.strerror or error}.") from None


def tell(out: Output, waited: Waited, wishes: WaitWishes, explained: Explained | None = None) -> None:
    """Print how waiting ended, and of the first failures why."""
    shown = _shown(waited, explained) if explained else {}
    if wishes.as_json:
        out.json(waited_json(waited))
        for job in waited.jobs:
            if text := shown.get(job.job_id):
                out.note(f"{job.state} {job.job_id} {job.title}")
                out.indented(text, err=True)
    else:
        for job in waited.jobs:
            if job.state != "passed" or job.flaky:
                reason = why(job)
                out.state_line(job.state, f"{job.job_id} {job.title}" + (f" · {reason}" if reason else ""))
                out.indented(shown.get(job.job_id, ""))
        if waited.jobs:
            out.line(f"{waited.id} {_state(waited)}: {summary(waited.jobs)}")
    _tell_rules(out, waited)
    _tell_more(out, waited)
    if waited.timed_out:
        limit = wishes.options.timeout_s or 0.0
        how = "the jobs go on" if waited.jobs else "nothing is known of it, as nobody answered"
        out.error(f"Not ended after {limit:g} s; {how}.", hint=f"Wait again with: qgjob wait {waited.id}")
    for reason, count in _reasons(waited).items():
        jobs = "a job was" if count == 1 else f"{count} jobs were"
        out.error(
            f"{jobs[0].upper()}{jobs[1:]} cancelled: {reason}.",
            hint="`qgjob agents list` shows what labels there are; --no-slot-grace waits longer.",
        )


def _shown(waited: Waited, explained: Explained) -> dict[str, str]:
    """The lines to the first failures, by job."""
    from qgjob.report.excerpt import excerpt
    from qgjob.report.model import worst_first

    found: dict[str, str] = {}
    for job in worst_first(waited.jobs):
        cases, output = explained.cases.get(job.job_id, ()), explained.logs.get(job.job_id, "")
        if len(found) < SHOWN_FAILURES and (text := excerpt(cases, output, lines=SHOWN_LINES)):
            found[job.job_id] = text
    return found


def _tell_more(out: Output, waited: Waited) -> None:
    """Where to look when something went wrong."""
    first = next((job for job in waited.jobs if job.state in {"failed", "timed_out", "errored"}), None)
    if first is None or waited.timed_out:
        return
    of_all = f"; a page of all: qgjob report {waited.id} --format html -o report.html" if waited.run else ""
    out.note(f"The output of {first.title}: qgjob logs {first.job_id}{of_all}")


def _tell_rules(out: Output, waited: Waited) -> None:
    """Say where the rules of the one who waits have made another verdict of it, or an early end."""
    rules = waited.rules
    if waited.stopped_by is not None:
        out.note(f"--fail-fast: the rest was cancelled because of {waited.stopped_by.title}.")
    failed = failed_tests(waited.jobs, rules)
    flaky = sum(job.flaky for job in failures_of(waited.jobs, rules))
    if flaky:
        out.note(f"--fail-on-flaky: {flaky} that passed only after a failure count as failed.")
    if failed and rules.allow_failures:
        over = "over" if failed > rules.allow_failures else "within"
        out.note(f"--allow-failures: {failed} is {over} the {rules.allow_failures} allowed.")


def waited_json(waited: Waited) -> dict[str, Any]:
    """The document of `wait --json` and `submit --wait --json`."""
    runs = {job.run_id for job in waited.jobs}
    return {
        "run_id": waited.run.run_id if waited.run else next(iter(runs), waited.id),
        "state": _state(waited),
        "exit_code": int(waited.verdict),
        "app_version_id": waited.jobs[0].app_version_id if waited.jobs else None,
        "counts": counts_of(waited.jobs),
        "jobs": [job_json(job) for job in waited.jobs],
    }


def _state(waited: Waited) -> str:
    run = waited.run
    return run.state if isinstance(run, RunView) else run_state_of(waited.jobs)


def _reasons(waited: Waited) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason in waited.no_slot.values():
        found[reason] = found.get(reason, 0) + 1
    return found


def detachable(session: Session, resume: Callable[[], str | None], work: Callable[[], int]) -> int:
    """Run `work`; Ctrl-C asks whether to cancel the jobs or to detach from them, and returns 130.

    In CI nobody can answer, and the build that wanted the result is gone: there they are cancelled,
    also at a SIGTERM. `resume` gives the id that is waited for, None while nothing was submitted.
    """
    out = session.out
    ci = in_ci(os.environ)
    try:
        with _interrupted_by_sigterm(ci):
            return work()
    except KeyboardInterrupt:
        any_id = resume()
        if any_id is None:
            out.note("Interrupted before the submit was confirmed; `qgjob list` shows whether it is there.")
        elif ci or _wants_cancel(out):
            _cancel(session, any_id)
        else:
            out.note("Detached; the jobs go on.")
            out.note(f"Wait again with: qgjob wait {any_id}  (or end them: qgjob cancel {any_id})")
        return int(ExitCode.DETACHED)


@contextlib.contextmanager
def _interrupted_by_sigterm(wanted: bool) -> Generator[None]:
    if not wanted:
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        signal.raise_signal(signal.SIGINT)

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs beside it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wants_cancel(out: Output) -> bool:
    """Ask; whoever says nothing, or cannot be asked, detaches."""
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    out.note("Interrupted. Type c and Enter to cancel the jobs; Enter alone lets them go on.")
    try:
        return sys.stdin.readline().strip().lower() in {"c", "cancel"}
    except KeyboardInterrupt:
        return False


def _cancel(session: Session, any_id: str) -> None:
    async def cancel() -> int:
        async with session.client() as client:
            left = going_on(session.out, "cancelled")
            return len((await client.cancel(any_id, reason="interrupted", by="cli", on_left=left)).affected)

    try:
        count = run(cancel())
    except QgjobError as error:
        session.out.error(f"{any_id} could not be cancelled: {error.message}", error.hint)
    else:
        jobs = "1 job was" if count == 1 else f"{count} jobs were"
        session.out.note(f"Interrupted: {jobs} cancelled of {any_id}.")
