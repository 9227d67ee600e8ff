"""The top of an HTML report: the verdict, what was tested and for whom, and the states as one bar."""

from __future__ import annotations

from html import escape
from typing import Final

from qgjob.clock import rfc3339
from qgjob.domain.durations import show_duration
from qgjob.domain.wording import first_of, pluralize, shorten
from qgjob.report.model import RunReport, job_seconds, wait_seconds
from qgjob.report.plain import safe

STATE_ORDER: Final = ("failed", "timed_out", "errored", "cancelled", "expired", "flaky", "passed")
"""Of the bar and the filters: the worst first, what goes on last."""
_META_FIRST: Final = ("branch", "commit", "pull_request", "actor", "url")
_MAX_META: Final = 24
_COMMIT_DIGITS: Final = 12


def headline(report: RunReport) -> list[str]:
    """The parts of the page above the timeline."""
    state = report.verdict if not report.open else "running"
    parts = [
        f'<h1>{safe(report.title)} <span class="chip {escape(state)}">{safe(report.verdict)}</span></h1>',
        f'<div class="dim">{safe(" · ".join(_facts(report)))}</div>',
        *_meta(report),
        *_bar(report),
    ]
    if report.open:
        parts.append(
            f'<p class="notice"><b>Not over yet.</b> {safe(report.missing)}. '
            "This is how it stood when the report was made.</p>"
        )
    return parts


def counts_with_flaky(report: RunReport) -> dict[str, int]:
    """Jobs by state, in their order; the flaky ones apart from those that simply passed."""
    counts = dict(report.counts)
    if report.flaky:
        counts["flaky"] = report.flaky
        counts["passed"] = counts.get("passed", 0) - report.flaky
    known = [*STATE_ORDER, *(state for state in counts if state not in STATE_ORDER)]
    return {state: counts[state] for state in known if counts.get(state)}


def _facts(report: RunReport) -> list[str]:
    builds = sorted({f"{job.org_id} {job.app_version_id}" for job in report.jobs})
    attempts = [attempt for job in report.jobs for attempt in job.attempts]
    starts = [a.started_at for a in attempts if a.started_at is not None]
    ends = [a.finished_at for a in attempts if a.finished_at is not None]
    waits = sorted(wait for wait in map(wait_seconds, report.jobs) if wait is not None)
    installs = sum(attempt.installed for attempt in attempts)
    return [
        first_of(builds, 3),
        *([f"{show_duration(max(ends) - min(starts))} from start to end"] if starts and ends else []),
        f"{show_duration(sum(map(job_seconds, report.jobs)))} of tests",
        pluralize(installs, "install"),
        *([f"median wait {show_duration(waits[len(waits) // 2])}"] if waits else []),
        f"as of {(rfc3339(report.at) or '')[:16].replace('T', ' ')} UTC",
    ]


def _meta(report: RunReport) -> list[str]:
    known = report.run.meta if report.run else {}
    names = [*(key for key in _META_FIRST if key in known), *(key for key in known if key not in _META_FIRST)]
    if not names:
        return []
    items = "".join(
        f"<span><b>{safe(name.replace('_', ' '))}</b> {_value(name, known[name])}</span>"
        for name in names[:_MAX_META]
    )
    return [f'<div class="meta">{items}</div>']


def _value(name: str, value: str) -> str:
    if value.startswith(("https://", "http://")):  # nothing else becomes a link
        shown = shorten(value, 60)
        return f'<a rel="noreferrer" href="{safe(value)}">{safe(shown)}</a>'
    return safe(value[:_COMMIT_DIGITS] if name == "commit" else value)


def _bar(report: RunReport) -> list[str]:
    counts = counts_with_flaky(report)
    if not counts:
        return []
    segments = "".join(
        f'<i class="{state}" style="flex-grow:{count}" title="{count} {state.replace("_", " ")}"></i>'
        for state, count in counts.items()
    )
    return [f'<div class="states" aria-hidden="true">{segments}</div>']
