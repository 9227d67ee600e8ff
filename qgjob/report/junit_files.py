"""A job as JUnit's test cases, one a test file: a shard's files are cases of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bus_schemas.cases import CaseRecord
from bus_schemas.events import Attempt, FileResult
from bus_schemas.queries import JobView
from qgjob.domain.lifecycle import FAILURES, TERMINAL
from qgjob.domain.wording import first_of
from qgjob.report.excerpt import JUNIT_LINES, excerpt, failed_cases
from qgjob.report.junit_document import KINDS, Case, Kind, Try, xml_text
from qgjob.report.model import file_results

Results = Mapping[str, Sequence[tuple[int, FileResult]]]


def cases_by_file(
    job: JobView, attachments: Sequence[str], cases: Sequence[CaseRecord], output: str
) -> Iterator[Case]:
    """The case of a job, or those of a shard; `cases` and `output` tell why it failed."""
    results = file_results(job)
    if not results:
        yield job_case(job, attachments, excerpt(cases, output, lines=JUNIT_LINES))
        return
    for place, file in enumerate(job.tests):
        yield shard_file_case(job, file, results, attachments if place == 0 else (), cases)
    failed = any(results[file][0][1].outcome == "failed" for file in job.tests if file in results)
    if job.state in TERMINAL and job.state != "passed" and not failed:
        # What went wrong is the shard's as a whole.
        yield job_case(job, (), excerpt((), output, lines=JUNIT_LINES))


def shard_file_case(
    job: JobView, file: str, results: Results, attachments: Sequence[str], cases: Sequence[CaseRecord]
) -> Case:
    """The case of a shard's file; one of which nothing was told is no pass."""
    own_results = results.get(file, ())
    classname, name = class_of(job), xml_text(file_name(job, file))
    lines = [f"{file} in {job.title}", *output_lines(job, attachments)]
    if not own_results:
        over = job.state in TERMINAL
        reason = "has no result of its own" if over else f"not ended: {job.state}"
        # Of a shard that passed, a file without a result may be one that did not fit into it.
        unfit = job.state == "passed" and job.attempts[-1].files_left_out > 0
        unknown: Kind | None = None if unfit else "skipped"
        return Case(classname, name, 0.0, unknown, reason, lines=lines)
    result = own_results[0][1]
    outcome = result.outcome
    own = [] if outcome == "passed" else failed_cases(case for case in cases if case.file == file)
    return Case(
        classname,
        name,
        max(result.duration_s, 0.0),
        KINDS[outcome],
        excerpt(own[:1], "", lines=2).replace("\n ", ":") if own else outcome,
        outcome,
        excerpt(own, "", lines=JUNIT_LINES) or f"{outcome}; see the output of {job.job_id}",
        [
            Try(failed=True, message="failed", type="failed", text=f"attempt {number}: failed")
            for number, before in own_results[1:]
            if before.outcome == "failed"
        ],
        lines,
    )


def job_case(
    job: JobView,
    attachments: Sequence[str],
    shown: str,
    *,
    earlier: Sequence[Attempt] | None = None,
) -> Case:
    """The case of a job as a whole; `shown` goes with a failure.

    `earlier`: of which earlier attempts it tells, if not of all.
    """
    last = job.attempts[-1] if job.attempts else None
    message = xml_text(job.message or job.reason or "")
    kind: Kind | None = None
    type_, text = "", ""
    if job.state not in TERMINAL:
        kind, message = "skipped", f"not ended: {job.state}"
    elif job.state != "passed":
        kind = "failure" if job.state in FAILURES else "error"
        message = message or job.state
        type_ = xml_text(job.reason or job.state)
        text = "\n\n".join(part for part in (_attempt_line(last) if last else message, shown) if part)
    took = (last.duration_s or 0.0) if last else 0.0
    return Case(
        class_of(job),
        xml_text(job.title),
        max(took, 0.0),
        kind,
        message,
        type_,
        text,
        [
            Try(
                failed=attempt.outcome in FAILURES,
                message=xml_text(attempt.message or attempt.outcome),
                type=xml_text(attempt.reason or attempt.outcome),
                text=_attempt_line(attempt),
            )
            for attempt in (job.attempts[:-1] if earlier is None else earlier)
            if attempt.outcome is not None and attempt.outcome != "passed"
        ],
        output_lines(job, attachments),
    )


def output_lines(job: JobView, attachments: Sequence[str]) -> list[str]:
    """The `system-out`: where and how it ran, its artifacts, and downloads as CI systems want them."""
    lines = [f"job {job.job_id} of run {job.run_id}", *map(_attempt_line, job.attempts)]
    left = list(dict.fromkeys(artifact.name for attempt in job.attempts for artifact in attempt.artifacts))
    if left and not attachments:
        lines.append(f"left {first_of(left, 20)}: qgjob artifacts {job.job_id}")
    return [*lines, *(f"[[ATTACHMENT|{path}]]" for path in attachments)]


def class_of(job: JobView) -> str:
    """The class of cases that are files; the build is none, or no CI found the test in the build before."""
    return xml_text(job.org_id)


def file_name(job: JobView, file: str) -> str:
    """A shard's file, with what tells it from others of it in its run."""
    return f"{file} [{job.variant}]" if job.variant else file


def _attempt_line(attempt: Attempt) -> str:
    """An attempt in one line, without repetitions."""
    outcome = (attempt.outcome or "running").replace("_", " ")
    where = f" on {attempt.agent}/{attempt.slot}" if attempt.agent else ""
    message = " ".join((attempt.message or "").split())
    code = f"exit code {attempt.exit_code}"
    known = attempt.exit_code is None or attempt.exit_code == 0 or code in message
    reason = "" if message or attempt.reason == "test_failed" else (attempt.reason or "").replace("_", " ")
    explanation = message or reason
    if not known:
        explanation = f"{explanation} ({code})" if explanation else code
    head = f"attempt {attempt.number}: {outcome}{where}"
    return xml_text(f"{head}: {explanation}" if explanation else head)
