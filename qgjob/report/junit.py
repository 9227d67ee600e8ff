"""A run as JUnit XML: one test case a test file, its attempts told apart; well-formed whatever they said.

Of the several dialects this is the one of Surefire that Jenkins checks and GitLab reads: a shard's
files are cases of their own, properties stand at the suite, attachments in a case's output.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from bus_schemas.cases import CaseOutcome, CaseRecord
from bus_schemas.events import END_STATES, Attempt
from bus_schemas.queries import JobView, RunView
from qgjob.report.excerpt import JUNIT_LINES, excerpt, failed_cases
from qgjob.report.model import FAILURES, RunReport, file_results, name_of

_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Kind = Literal["failure", "error", "skipped"]
_KINDS: Final[dict[CaseOutcome, Kind | None]] = {
    "passed": None,
    "failed": "failure",
    "errored": "error",
    "skipped": "skipped",
}


@dataclass(frozen=True, slots=True)
class _Try:
    """An earlier attempt that did not pass."""

    failed: bool
    """By the test itself, and not by the lab."""
    message: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class _Case:
    """A test case as it is written."""

    classname: str
    name: str
    seconds: float
    kind: Kind | None = None
    """What it is beside passed."""
    message: str = ""
    type: str = ""
    text: str = ""
    earlier: Sequence[_Try] = ()
    lines: Sequence[str] = field(default=())


def junit(found: RunReport, *, name: str | None = None) -> bytes:
    """A collected report as a UTF-8 document; `name`: the suite's, else the report's title."""
    return junit_xml(
        found.jobs,
        name=name or found.title,
        run=found.run,
        attachments=found.attachments,
        cases=found.cases,
        logs=found.logs,
    )


def junit_xml(
    jobs: Sequence[JobView],
    *,
    name: str,
    run: RunView | None = None,
    attachments: Mapping[str, Sequence[str]] | None = None,
    cases: Mapping[str, Sequence[CaseRecord]] | None = None,
    logs: Mapping[str, str] | None = None,
) -> bytes:
    """The report of these jobs as a UTF-8 document.

    Failed and timed out are failures; errored, cancelled and expired are errors, since such a
    test did not pass; what has not ended or never ran is skipped. Earlier attempts of what passed
    are `flakyFailure`s or `flakyError`s, of what did not `rerunFailure`s or `rerunError`s.
    `attachments`: paths of downloaded files by job, as Jenkins and GitLab take them. `cases` and
    `logs`, the cases and the output of the last attempt by job: of what did not pass a part of one
    of them is the text of its failure.
    """
    files, told, output = attachments or {}, cases or {}, logs or {}
    written = [
        case
        for job in jobs
        for case in _cases(
            job, files.get(job.job_id, ()), told.get(job.job_id, ()), output.get(job.job_id, "")
        )
    ]
    started = [a.started_at for job in jobs for a in job.attempts if a.started_at is not None]
    kinds = [case.kind for case in written]
    counts = {
        "name": _text(name),
        "tests": str(len(written)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "time": f"{sum(case.seconds for case in written):.3f}",
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {**counts, "skipped": str(kinds.count("skipped"))})
    if started:
        suite.set("timestamp", datetime.fromtimestamp(min(started), UTC).isoformat(timespec="seconds"))
    _properties(suite, jobs, run)
    for case in written:
        _write(suite, case)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _properties(suite: ET.Element, jobs: Sequence[JobView], run: RunView | None) -> None:
    told = {
        "run_id": ", ".join(sorted({job.run_id for job in jobs})),
        "org_id": ", ".join(sorted({job.org_id for job in jobs})),
        "app_version_id": ", ".join(sorted({job.app_version_id for job in jobs})),
        **({f"meta.{key}": value for key, value in run.meta.items()} if run else {}),
    }
    if run is not None:
        suite.set("id", _text(run.run_id))
        if url := run.meta.get("url"):
            suite.set("url", _text(url))
    properties = ET.SubElement(suite, "properties")
    for key, value in told.items():
        if value:
            ET.SubElement(properties, "property", {"name": _text(key), "value": _text(value)})


def _cases(
    job: JobView, attachments: Sequence[str], cases: Sequence[CaseRecord], output: str
) -> Iterator[_Case]:
    results = file_results(job)
    if not results:
        yield _job_case(job, attachments, excerpt(cases, output, lines=JUNIT_LINES))
        return
    classname = _text(f"{job.org_id}.{job.app_version_id}")
    failed = False
    for place, file in enumerate(job.tests):
        told = results.get(file, [])
        lines = [f"{file} in {name_of(job)}", *_output(job, attachments if place == 0 else ())]
        if not told:
            over = job.state in END_STATES
            why = "has no result of its own" if over else f"not ended: {job.state}"
            # Of a shard that passed, a file without a result may be one that did not fit into it.
            unfit = job.state == "passed" and job.attempts[-1].files_left_out > 0
            unknown: Kind | None = None if unfit else "skipped"
            yield _Case(classname, _text(_file_name(job, file)), 0.0, unknown, why, lines=lines)
            continue
        result = told[0][1]
        outcome = result.outcome
        failed = failed or outcome == "failed"
        own = [] if outcome == "passed" else failed_cases(case for case in cases if case.file == file)
        yield _Case(
            classname,
            _text(_file_name(job, file)),
            max(result.duration_s, 0.0),
            _KINDS[outcome],
            excerpt(own[:1], "", lines=2).replace("\n ", ":") if own else outcome,
            outcome,
            excerpt(own, "", lines=JUNIT_LINES) or f"{outcome}; see the output of {job.job_id}",
            [
                _Try(failed=True, message="failed", type="failed", text=f"attempt {number}: failed")
                for number, before in told[1:]
                if before.outcome == "failed"
            ],
            lines,
        )
    if job.state in END_STATES and job.state != "passed" and not failed:
        # What went wrong is the shard's as a whole.
        yield _job_case(job, (), excerpt((), output, lines=JUNIT_LINES))


def _job_case(job: JobView, attachments: Sequence[str], shown: str) -> _Case:
    last = job.attempts[-1] if job.attempts else None
    message = _text(job.message or job.reason or "")
    kind: Kind | None = None
    type_, text = "", ""
    if job.state not in END_STATES:
        kind, message = "skipped", f"not ended: {job.state}"
    elif job.state != "passed":
        kind = "failure" if job.state in FAILURES else "error"
        message = message or job.state
        type_ = _text(job.reason or job.state)
        text = "\n\n".join(part for part in (_told(last) if last else message, shown) if part)
    earlier = [
        _Try(
            failed=attempt.outcome in FAILURES,
            message=_text(attempt.message or attempt.outcome),
            type=_text(attempt.reason or attempt.outcome),
            text=_told(attempt),
        )
        for attempt in job.attempts[:-1]
        if attempt.outcome is not None and attempt.outcome != "passed"
    ]
    return _Case(
        _text(f"{job.org_id}.{job.app_version_id}"),
        _text(name_of(job)),
        max((last.duration_s or 0.0) if last else 0.0, 0.0),
        kind,
        message,
        type_,
        text,
        earlier,
        _output(job, attachments),
    )


def _write(suite: ET.Element, case: _Case) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        {"classname": case.classname, "name": case.name, "time": f"{case.seconds:.3f}"},
    )
    if case.kind is not None:
        told = {"message": _text(case.message)} | ({"type": case.type} if case.type else {})
        problem = ET.SubElement(element, case.kind, told)
        problem.text = _text(case.text) or None
    for one in case.earlier:
        tag = ("flaky" if case.kind is None else "rerun") + ("Failure" if one.failed else "Error")
        earlier = ET.SubElement(element, tag, {"message": one.message, "type": one.type})
        ET.SubElement(earlier, "stackTrace").text = one.text
    ET.SubElement(element, "system-out").text = _text("\n".join(case.lines))


def _output(job: JobView, attachments: Sequence[str]) -> list[str]:
    """The `system-out`: where and how it ran, its artifacts, and downloads as CI systems want them."""
    lines = [f"job {job.job_id} of run {job.run_id}", *map(_told, job.attempts)]
    left = list(dict.fromkeys(artifact.name for attempt in job.attempts for artifact in attempt.artifacts))
    if left and not attachments:
        more = f" and {len(left) - 20} more" if len(left) > 20 else ""
        lines.append(f"left {', '.join(left[:20])}{more}: qgjob artifacts {job.job_id}")
    return [*lines, *(f"[[ATTACHMENT|{path}]]" for path in attachments)]


def _file_name(job: JobView, file: str) -> str:
    return f"{file} [{job.variant}]" if job.variant else file


def _told(attempt: Attempt) -> str:
    """An attempt in one line, without repetitions."""
    outcome = (attempt.outcome or "running").replace("_", " ")
    where = f" on {attempt.agent}/{attempt.slot}" if attempt.agent else ""
    message = " ".join((attempt.message or "").split())
    code = f"exit code {attempt.exit_code}"
    known = attempt.exit_code is None or attempt.exit_code == 0 or code in message
    reason = "" if message or attempt.reason == "test_failed" else (attempt.reason or "").replace("_", " ")
    told = message or reason
    if not known:
        told = f"{told} ({code})" if told else code
    head = f"attempt {attempt.number}: {outcome}{where}"
    return _text(f"{head}: {told}" if told else head)


def _text(text: str) -> str:
    """The text with U+FFFD for every character that XML 1.0 has not, escaped or otherwise."""
    return _NOT_IN_XML.sub("\ufffd", text)
