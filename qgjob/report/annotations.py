"""What CI shows beside the code: GitHub's workflow commands, GitLab's code quality report."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bus_schemas.cases import CaseRecord
from bus_schemas.queries import META_FOLDER, JobView
from qgjob.domain.lifecycle import FAILURES, TERMINAL
from qgjob.report.excerpt import last_lines
from qgjob.report.model import RunReport, failure_reason, worst_first

MAX_ANNOTATIONS: Final = 50
"""GitHub shows 10 errors and 10 warnings of a step, and 50 of a run."""


_LINES: Final = 10


@dataclass(frozen=True, slots=True)
class _Finding:
    file: str
    line: int | None
    title: str
    text: str
    level: str


def _findings(report: RunReport) -> Iterator[_Finding]:
    folder = report.run.meta.get(META_FOLDER, "") if report.run else ""

    def place(file: str) -> str:
        """Where a file of the bundle is in the repository."""
        return f"{folder}/{file}" if folder and not file.startswith("/") else file

    for job in worst_first(report.jobs):
        if not job.flaky and (job.state == "passed" or job.state not in TERMINAL):
            continue
        cases = [c for c in report.cases.get(job.job_id, ()) if c.outcome in {"failed", "errored"}]
        level = "warning" if job.flaky else "error"
        if cases and job.state in FAILURES:
            for case in cases:
                file = case.file or job.test
                message = case.message or "failed"
                yield _Finding(place(file), _line(case), case.name, message, level)
            continue
        text = "passed only after a failure" if job.flaky else _explanation(report, job)
        file = job.tests[0] if job.tests else job.test
        what = "flaky" if job.flaky else job.state.replace("_", " ")
        yield _Finding(place(file), None, f"{job.title} {what}", text, level)


def _line(case: CaseRecord) -> int | None:
    """Where it failed, as far as its message tells it of its file; else where the case begins."""
    if case.file and case.message:
        match = re.search(rf"(?<![^\s/(]){re.escape(case.file)}:([1-9]\d{{0,6}})\b", case.message)
        if match:
            return int(match[1])
    return case.line


def _explanation(report: RunReport, job: JobView) -> str:
    shown = last_lines(report.logs.get(job.job_id, ""), lines=_LINES)
    return f"{failure_reason(job)}\n{shown}" if shown else failure_reason(job)


def github(report: RunReport) -> str:
    """Workflow commands, a line each: what a step prints to have its errors shown in the diff.

    The form, and what must be escaped, is that of GitHub's documentation of workflow commands.
    """
    lines: list[str] = []
    for finding in _findings(report):
        if len(lines) == MAX_ANNOTATIONS:
            break
        place = f"file={_property(finding.file)}"
        if finding.line:
            place += f",line={finding.line}"
        title = _property(finding.title)
        lines.append(f"::{finding.level} {place},title={title}::{_data(finding.text[:4000])}\n")
    return "".join(lines)


def gitlab(report: RunReport) -> str:
    """A code quality report, as GitLab takes it for an artifact of `artifacts:reports:codequality`."""
    issues: list[dict[str, Any]] = []
    for finding in _findings(report):
        identity = f"{finding.file}\0{finding.title}\0{finding.level}"
        issues.append(
            {
                "description": f"{finding.title}: {finding.text[:1000]}",
                "check_name": "qgjob",
                "fingerprint": hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest(),
                "severity": "major" if finding.level == "error" else "minor",
                "location": {"path": finding.file, "lines": {"begin": finding.line or 1}},
            }
        )
    return json.dumps(issues, indent=2, ensure_ascii=False) + "\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
