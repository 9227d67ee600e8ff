"""What ran where and when, drawn: a row a slot, a bar an attempt, its install in grey before it."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import Final

from bus_schemas.events import Attempt
from bus_schemas.queries import JobView
from qgjob.domain.durations import show_duration
from qgjob.report.model import RunReport
from qgjob.report.plain import safe

MAX_SLOTS: Final = 60
MAX_BARS: Final = 4000
_WIDTH: Final = 1120
_LEFT: Final = 150
_ROW: Final = 18
_TICKS: Final = 8
_STEPS: Final = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    1800,
    3600,
    7200,
    14_400,
    43_200,
)


def timeline(report: RunReport) -> list[str]:
    """The drawing as inline SVG; nothing when nothing has started."""
    rows: dict[str, list[tuple[float, float, JobView, Attempt]]] = defaultdict(list)
    for job in report.jobs:
        for attempt in job.attempts:
            if attempt.started_at is None or not attempt.agent:
                continue
            end = attempt.finished_at or max(report.at, attempt.started_at)
            rows[f"{attempt.agent}/{attempt.slot}"].append((attempt.started_at, end, job, attempt))
    if not rows or sum(map(len, rows.values())) > MAX_BARS:
        return []
    begin = min(bar[0] for bars in rows.values() for bar in bars)
    end = max(bar[1] for bars in rows.values() for bar in bars)
    scale = (_WIDTH - _LEFT) / max(end - begin, 1e-3)
    names = sorted(rows)
    height = _ROW * min(len(names), MAX_SLOTS) + 20
    parts = [
        "<h2>Timeline</h2>",
        '<div class="scroll">',
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" role="img" aria-label="What ran where and when">',
    ]
    step = _step(end - begin)
    for tick in range(int((end - begin) / step) + 1):
        x = _LEFT + tick * step * scale
        label = _tick_label(tick * step)
        anchor = "end" if x > _WIDTH - 20 else "middle"
        parts.append(f'<line class="grid" x1="{x:.0f}" y1="0" x2="{x:.0f}" y2="{height - 18}"/>')
        parts.append(f'<text x="{x:.0f}" y="{height - 4}" text-anchor="{anchor}">{label}</text>')
    for number, name in enumerate(names[:MAX_SLOTS]):
        y = number * _ROW
        short = name if len(name) <= 22 else f"…{name[-21:]}"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{safe(short)}</text>')
        for started, ended, job, attempt in rows[name]:
            test = min(max(attempt.running_at or started, started), ended)
            left, middle, right = (_LEFT + (at - begin) * scale for at in (started, test, ended))
            if middle - left > 0.5:
                parts.append(_bar("install", left, middle, y, "installing"))
            kind = "flaky" if job.flaky and attempt.outcome == "passed" else attempt.outcome or "running"
            title = f"{job.title}: {kind}, {show_duration(ended - test)}"
            parts.append(_bar(f"bar {kind}", middle, max(right, middle + 1.5), y, title, job.job_id))
    parts.append("</svg></div>")
    parts.append(
        '<p class="dim legend"><i class="install"></i>install, then the test, coloured by its end</p>'
    )
    if len(names) > MAX_SLOTS:
        parts.append(f'<p class="dim">… and {len(names) - MAX_SLOTS} more slots.</p>')
    return parts


def _step(seconds: float) -> float:
    """Seconds between two grid lines, such that they are few and have round labels."""
    return next((step for step in _STEPS if seconds / step <= _TICKS), seconds)


def _tick_label(seconds: float) -> str:
    if seconds and seconds < 10:
        return f"{seconds:g}s"
    return show_duration(seconds) if seconds else "0"


def _bar(kind: str, left: float, right: float, y: int, title: str, job_id: str | None = None) -> str:
    link = f' data-job="{escape(job_id)}"' if job_id else ""
    width = max(right - left - 0.5, 1)
    return (
        f'<rect class="{kind}"{link} x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 5}" '
        f'rx="2"><title>{safe(title)}</title></rect>'
    )
