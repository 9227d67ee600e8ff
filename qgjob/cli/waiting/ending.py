"""Prints how a wait ended, for people or as JSON: what failed and why, and where to look."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from bus_schemas.queries import RunView
from qgjob.cli.display.output import Output
from qgjob.cli.display.render import summary, why
from qgjob.cli.waiting.unstarted import AT_MOST, kind_of
from qgjob.client.models import Waited
from qgjob.client.shapes import job_json
from qgjob.domain.lifecycle import BAD_ENDS
from qgjob.domain.verdict import counts_of, failed_tests, failures_of, run_state_of

if TYPE_CHECKING:
    from qgjob.reporting import FailureDetails

SHOWN_FAILURES: Final = 3
"""Of how many the reason is shown at the end of a wait."""
SHOWN_LINES: Final = 10


def print_end(
    out: Output, waited: Waited, details: FailureDetails | None, *, as_json: bool, timeout_s: float | None
) -> None:
    """Print how waiting ended and why the first failures failed; `timeout_s`: the limit of the wait."""
    excerpts = _failure_excerpts(waited, details) if details else {}
    if as_json:
        out.json(waited_json(waited))
        for job in waited.jobs:
            if text := excerpts.get(job.job_id):
                out.note(f"{job.state} {job.job_id} {job.title}")
                out.indented(text, err=True)
    else:
        kinds = Counter(filter(None, map(kind_of, waited.jobs)))
        many = {kind: count for kind, count in kinds.items() if count > AT_MOST}
        for (state, reason), count in many.items():
            out.state_line(state, f"{count} jobs that had not started" + (f" · {reason}" if reason else ""))
        for job in waited.jobs:
            if (job.state != "passed" or job.flaky) and kind_of(job) not in many:
                reason = why(job)
                out.state_line(job.state, f"{job.job_id} {job.title}" + (f" · {reason}" if reason else ""))
                out.indented(excerpts.get(job.job_id, ""))
        if waited.jobs:
            out.line(end_line(waited))
    _note_rules(out, waited)
    _note_output(out, waited)
    if waited.timed_out:
        limit = timeout_s or 0.0
        how = "the jobs go on" if waited.jobs else "nothing is known of it, as nobody answered"
        out.error(f"Not ended after {limit:g} s; {how}.", hint=f"Wait again with: qgjob wait {waited.id}")
    for reason, count in Counter(waited.no_slot.values()).items():
        jobs = "a job was" if count == 1 else f"{count} jobs were"
        out.error(
            f"{jobs[0].upper()}{jobs[1:]} cancelled: {reason}.",
            hint="`qgjob agents list` shows what labels there are; --no-slot-grace waits longer.",
        )


def end_line(waited: Waited) -> str:
    """How it ended, in one line."""
    return f"{waited.id} {_state(waited)}: {summary(waited.jobs)}"


def _failure_excerpts(waited: Waited, details: FailureDetails) -> dict[str, str]:
    """The lines to the first failures, by job."""
    from qgjob.report.excerpt import excerpt
    from qgjob.report.model import worst_first

    excerpts: dict[str, str] = {}
    for job in worst_first(waited.jobs):
        cases, output = details.cases.get(job.job_id, ()), details.logs.get(job.job_id, "")
        if len(excerpts) < SHOWN_FAILURES and (text := excerpt(cases, output, lines=SHOWN_LINES)):
            excerpts[job.job_id] = text
    return excerpts


def _note_output(out: Output, waited: Waited) -> None:
    """Where to look when something went wrong."""
    first = next((job for job in waited.jobs if job.state in BAD_ENDS), None)
    if first is None or waited.timed_out:
        return
    of_all = f"; a page of all: qgjob report {waited.id} --format html -o report.html" if waited.run else ""
    out.note(f"The output of {first.title}: qgjob logs {first.job_id}{of_all}")


def _note_rules(out: Output, waited: Waited) -> None:
    """Say where options of the wait changed the verdict or ended it early."""
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
