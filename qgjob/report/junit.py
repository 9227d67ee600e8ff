"""A run as JUnit XML: one test case a job, its attempts told apart; well-formed whatever they said."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from bus_schemas.events import END_STATES, Attempt
from bus_schemas.requests import JobView

_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_FAILURES: Final = frozenset({"failed", "timed_out"})


def junit_xml(jobs: Sequence[JobView], *, name: str) -> bytes:
    """The report of these jobs as a UTF-8 document.

    Failed and timed out are failures; errored, cancelled and expired are errors, since such a
    test did not pass; a job that has not ended is skipped. Earlier attempts of a job that passed
    are `flakyFailure`s or `flakyError`s, of one that did not `rerunFailure`s or `rerunError`s.
    """
    failures = sum(job.state in _FAILURES for job in jobs)
    open_jobs = sum(job.state not in END_STATES for job in jobs)
    errors = sum(job.state in END_STATES and job.state != "passed" for job in jobs) - failures
    started = [a.started_at for job in jobs for a in job.attempts if a.started_at is not None]
    counts = {
        "name": _text(name),
        "tests": str(len(jobs)),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": str(open_jobs),
        "time": f"{sum(map(_seconds, jobs)):.3f}",
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", counts)
    if started:
        suite.set("timestamp", datetime.fromtimestamp(min(started), UTC).isoformat(timespec="seconds"))
    for job in jobs:
        _case(suite, job)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(suite: ET.Element, job: JobView) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": _text(f"{job.org_id}.{job.app_version_id}"),
            "name": _text(job.test),
            "file": _text(job.test),
            "time": f"{_seconds(job):.3f}",
        },
    )
    last = job.attempts[-1] if job.attempts else None
    message = _text(job.message or job.reason or "")
    if job.state not in END_STATES:
        ET.SubElement(case, "skipped", {"message": f"not ended: {job.state}"})
    elif job.state != "passed":
        tag = "failure" if job.state in _FAILURES else "error"
        problem = ET.SubElement(
            case, tag, {"message": message or job.state, "type": _text(job.reason or job.state)}
        )
        problem.text = _told(last) if last else message
    for attempt in job.attempts[:-1]:
        if attempt.outcome is None or attempt.outcome == "passed":
            continue
        kind = "Failure" if attempt.outcome in _FAILURES else "Error"
        tag = ("flaky" if job.state == "passed" else "rerun") + kind
        earlier = ET.SubElement(
            case,
            tag,
            {
                "message": _text(attempt.message or attempt.outcome),
                "type": _text(attempt.reason or attempt.outcome),
            },
        )
        earlier.text = _told(attempt)
    lines = [f"job {job.job_id} of run {job.run_id}", *map(_told, job.attempts)]
    ET.SubElement(case, "system-out").text = _text("\n".join(lines))


def _seconds(job: JobView) -> float:
    return max((job.attempts[-1].duration_s or 0.0) if job.attempts else 0.0, 0.0)


def _told(attempt: Attempt) -> str:
    """An attempt in one line."""
    parts = [f"attempt {attempt.number}: {attempt.outcome or 'running'}"]
    if attempt.agent:
        parts.append(f"on {attempt.agent}/{attempt.slot}")
    if attempt.exit_code is not None:
        parts.append(f"exit code {attempt.exit_code}")
    if attempt.reason:
        parts.append(attempt.reason)
    if attempt.message:
        parts.append(attempt.message)
    return _text(", ".join(parts))


def _text(text: str) -> str:
    """The text with U+FFFD for every character that XML 1.0 has not, escaped or otherwise."""
    return _NOT_IN_XML.sub("\ufffd", text)
