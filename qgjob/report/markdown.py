"""A report as Markdown: for GitHub's step summary and comments, and for people in a hurry."""

from __future__ import annotations

import re
from typing import Final

from bus_schemas.queries import JobView
from qgjob.domain.durations import show_duration
from qgjob.domain.lifecycle import TERMINAL
from qgjob.domain.wording import pluralize
from qgjob.report.model import RunReport, failure_reason, job_seconds, worst_first
from qgjob.report.plain import plain

MAX_ROWS: Final = 100
"""GitHub cuts a step summary at 1 MiB; nobody reads that far."""
_LOG_LINES: Final = 30
_LOGS: Final = 20
_SIGNS: Final = {"passed": "✅", "failed": "❌", "timed_out": "⏱️", "errored": "⚠️"}
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~-])")


def markdown(report: RunReport) -> str:
    """The report as one text."""
    bad = [job for job in worst_first(report.jobs) if job.state != "passed" or job.flaky]
    parts = [f"## {_sign(report.verdict)} {_escaped(report.title)}", _summary(report)]
    if report.open:
        parts.append(f"**Not over yet**: {_escaped(report.missing)}.")
    if bad:
        parts.append(_table(bad[:MAX_ROWS]))
        if len(bad) > MAX_ROWS:
            parts.append(f"… and {len(bad) - MAX_ROWS} more.")
    logs = [job for job in bad if report.logs.get(job.job_id)]
    parts += [_log(job, report.logs[job.job_id]) for job in logs[:_LOGS]]
    return "\n\n".join(parts) + "\n"


def _summary(report: RunReport) -> str:
    counts = ", ".join(f"**{count}** {state.replace('_', ' ')}" for state, count in report.counts.items())
    flaky = f" ({report.flaky} flaky)" if report.flaky else ""
    installs = sum(attempt.installed for job in report.jobs for attempt in job.attempts)
    spent = sum(map(job_seconds, report.jobs))
    return (
        f"{counts or 'no jobs'}{flaky} · {show_duration(spent)} of tests · {pluralize(installs, 'install')}"
    )


def _table(jobs: list[JobView]) -> str:
    rows = ["| | Test | Why | Attempts | Time |", "|---|---|---|---:|---:|"]
    for job in jobs:
        sign = "♻️" if job.flaky else _sign(job.state)
        reason = "passed after a failure" if job.flaky else failure_reason(job)
        rows.append(
            f"| {sign} | {_code(job.title)} | {_escaped(reason[:300])} "
            f"| {len(job.attempts)} | {show_duration(job_seconds(job))} |"
        )
    return "\n".join(rows)


def _log(job: JobView, text: str) -> str:
    lines = plain(text).rstrip().splitlines()[-_LOG_LINES:]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", "\n".join(lines))), default=0))
    body = "\n".join([fence, *lines, fence])
    return f"<details><summary>{_html(job.title)}</summary>\n\n{body}\n\n</details>"


def _sign(state: str) -> str:
    return _SIGNS.get(state, "⏹️" if state in TERMINAL else "⏳")


def _code(text: str) -> str:
    """As code in a table cell: nothing in it is taken for markup."""
    clean = " ".join(plain(text).split()).replace("|", "\\|")
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", clean)), default=0))
    return f"{ticks}{clean}{ticks}" if len(ticks) == 1 else f"{ticks} {clean} {ticks}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(plain(text).split()))


def _html(text: str) -> str:
    return plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
