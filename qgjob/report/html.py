"""A report as one HTML file: nothing is loaded, nothing sent; it reads well without its script too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Final

from bus_schemas.cases import CaseRecord
from bus_schemas.events import Attempt, FileResult
from bus_schemas.queries import JobView
from qgjob.clock import rfc3339
from qgjob.domain.durations import show_duration
from qgjob.domain.lifecycle import TERMINAL
from qgjob.report.headline import counts_with_flaky, headline
from qgjob.report.model import (
    Picture,
    RunReport,
    failure_reason,
    file_results,
    job_seconds,
    worst_first,
)
from qgjob.report.plain import safe
from qgjob.report.timeline import timeline

_OPEN_AT_FIRST: Final = 5


def html(report: RunReport) -> str:
    """The whole page."""
    style = _asset("report.css")
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    title = f"{report.verdict}: {report.title}"
    ordered = worst_first(report.jobs)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{safe(title)}</title><style>{style}</style></head><body><main>",
        *headline(report),
        *timeline(report),
        *_filters(report),
        *(_job(report, job, place) for place, job in enumerate(ordered)),
        '<p id="none" class="dim" hidden>No job matches.</p>',
        f"</main><script>{script}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _filters(report: RunReport) -> list[str]:
    buttons = [
        f'<button class="{state}" data-state="{state}" aria-pressed="false">'
        f"{count} {state.replace('_', ' ')}</button>"
        for state, count in counts_with_flaky(report).items()
    ]
    search = '<input id="search" type="search" placeholder="Test, reason, slot…" aria-label="Filter">'
    every = '<button id="every" type="button">open all</button>'
    return ["<h2>Jobs</h2>", '<div class="filters" hidden>', *buttons, search, every, "</div>"]


def _job(report: RunReport, job: JobView, place: int) -> str:
    kind = "flaky" if job.flaky else job.state
    reason = "" if job.state == "passed" and not job.flaky else failure_reason(job)
    if job.flaky:
        reason = "passed after a failure"
    states = f"{job.state} flaky" if job.flaky else job.state
    slots = " ".join(f"{a.agent}/{a.slot}" for a in job.attempts if a.agent)
    text = f"{job.title} {' '.join(job.tests)} {reason} {slots} {job.job_id}".lower()
    opened = " open" if place < _OPEN_AT_FIRST and job.state in TERMINAL and job.state != "passed" else ""
    attributes = f'class="job {kind}" id="{escape(job.job_id)}" data-states="{states}"'
    facts = [job.job_id, f"{job.org_id} {job.app_version_id}", f"priority {job.priority}", job.runner]
    facts += [f"needs {', '.join(job.requires)}"] if job.requires else []
    parts = [
        f'<details {attributes} data-text="{safe(text)}"{opened}>',
        f'<summary><span class="chip">{job.state.replace("_", " ")}</span>',
        f'<span class="name">{safe(job.title)}</span><span class="why">{safe(reason)}</span>',
        f'<span class="time">{show_duration(job_seconds(job))}</span></summary><div class="body">',
        f'<p class="dim">{safe(" · ".join(facts))}</p>',
        _shard(job),
        _attempts(job.attempts),
        _cases(report.cases.get(job.job_id, ())),
        _pictures(report.pictures.get(job.job_id, ())),
    ]
    if log := report.logs.get(job.job_id):
        parts.append(f"<pre>{safe(log)}</pre>")
    return "".join([*parts, "</div></details>"])


def _attempts(attempts: tuple[Attempt, ...]) -> str:
    if not attempts:
        return ""
    rows = "".join(
        f'<tr class="{a.outcome or "running"}"><td>{a.number}</td>'
        f'<td class="state">{(a.outcome or "running").replace("_", " ")}</td>'
        f"<td>{safe(f'{a.agent}/{a.slot}' if a.agent else '')}</td>"
        f'<td title="{rfc3339(a.started_at) or ""}">{(rfc3339(a.started_at) or "")[11:19]}</td>'
        f"<td>{show_duration(a.install_s) if a.installed and a.install_s is not None else '–'}</td>"
        f"<td>{show_duration(a.duration_s) if a.duration_s is not None else ''}</td>"
        f'<td class="wide">{safe(_attempt_reason(a))}</td></tr>'
        for a in attempts
    )
    heads = "".join(f"<th>{name}</th>" for name in ("#", "", "Slot", "UTC", "Install", "Test", ""))
    return f'<div class="scroll"><table class="facts"><tr>{heads}</tr>{rows}</table></div>'


def _attempt_reason(attempt: Attempt) -> str:
    reason = attempt.message or (attempt.reason or "").replace("_", " ")
    times = "" if attempt.takeovers == 1 else f" {attempt.takeovers} times"
    return "; ".join(part for part in (reason, f"taken over{times}" if attempt.takeovers else "") if part)


def _shard(job: JobView) -> str:
    """The files of a shard, as they went in the end."""
    if not job.tests:
        return ""
    results = file_results(job)
    rows = "".join(_shard_row(file, results[file][0][1] if file in results else None) for file in job.tests)
    return f'<table class="cases">{rows}</table>'


def _shard_row(file: str, result: FileResult | None) -> str:
    if result is None:
        return f'<tr class="skipped"><td class="state">no result</td><td>{safe(file)}</td><td></td></tr>'
    word = "flaky" if result.flaky else result.outcome
    return (
        f'<tr class="{word}"><td class="state">{word}</td><td>{safe(file)}</td>'
        f"<td>{show_duration(result.duration_s)}</td></tr>"
    )


def _cases(cases: Sequence[CaseRecord]) -> str:
    if not cases:
        return ""
    rows = "".join(
        f'<tr class="{_outcome(case)}"><td class="state">{_outcome(case)}</td><td>{safe(_title(case))}'
        + (f"<pre>{safe(case.message)}</pre>" if case.message else "")
        + f"</td><td>{show_duration(case.duration_s)}</td></tr>"
        for case in cases
    )
    return f'<table class="cases">{rows}</table>'


def _outcome(case: CaseRecord) -> str:
    return "flaky" if case.flaky else case.outcome


def _title(case: CaseRecord) -> str:
    return f"{case.suite} › {case.name}" if case.suite else case.name


def _pictures(pictures: Sequence[Picture]) -> str:
    figures = "".join(
        f'<figure><img alt="{safe(picture.name)}" src="data:{escape(picture.media_type)};base64,'
        f'{base64.b64encode(picture.data).decode()}"><figcaption>{safe(picture.name)}</figcaption></figure>'
        for picture in pictures
    )
    return f'<div class="pictures">{figures}</div>' if figures else ""


def _asset(name: str) -> str:
    return files("qgjob.report").joinpath(name).read_text("utf-8")
