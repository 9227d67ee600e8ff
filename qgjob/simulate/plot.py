"""Draw a simulation: what each slot did, coloured by build, and how long jobs waited. Plain SVG."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence
from html import escape
from typing import Final

from bus_schemas.subjects import PRIORITY_CLASSES
from qgjob.simulate.engine import Ran
from qgjob.simulate.summary import Summary

WIDTH: Final = 1200
_LEFT: Final = 60
_INNER: Final = WIDTH - _LEFT - 20
_ROW: Final = 14
_WAITS_HEIGHT: Final = 180
_COLOURS: Final = {"high": "#e0525f", "medium": "#e5a83b", "low": "#3aa99f"}
_MAX_RECTANGLES: Final = 40_000


def draw(summary: Summary, ran: Sequence[Ran]) -> str:
    """An SVG picture: slots over time above, the distribution of waits by class below."""
    begin = min((one.job.arrival_s for one in ran), default=0.0)
    span = max(summary.makespan_s, 1e-9)
    height = 60 + _ROW * summary.slots + 60 + _WAITS_HEIGHT + 30
    title = f"{summary.policy}: {summary.jobs} jobs, {summary.slots} slots, {summary.installs} installs"
    size = f'width="{WIDTH}" height="{height}"'
    box = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box}>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{escape(title)}</text>',
        f'<text x="{WIDTH - 190}" y="24" fill="#666">black: installing; colour: build</text>',
        *_timeline(ran, begin, span),
        *_axis(40 + _ROW * summary.slots + 14, span),
        *_waits(ran, 40 + _ROW * summary.slots + 60),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def colour_of(build: tuple[str, str]) -> str:
    """A build's colour: the same in every picture."""
    digest = hashlib.sha256("\0".join(build).encode()).digest()
    red, green, blue = colorsys.hls_to_rgb(digest[0] / 256, 0.45 + digest[1] / 1280, 0.55)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"


def _timeline(ran: Sequence[Ran], begin: float, span: float) -> list[str]:
    scale = _INNER / span
    parts: list[str] = []
    for one in sorted(ran, key=lambda r: r.taken_s)[:_MAX_RECTANGLES]:
        y = 40 + _ROW * one.slot
        x = _LEFT + (one.taken_s - begin) * scale
        start = _LEFT + (one.started_s - begin) * scale
        end = _LEFT + (one.ended_s - begin) * scale
        label = f"{one.job.test} of {one.job.app_version_id}, waited {one.wait_s:.0f} s"
        if one.installed:
            width = max(0.4, start - x)
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 2}" fill="#222"/>')
        parts.append(
            f'<rect x="{start:.1f}" y="{y}" width="{max(0.4, end - start):.1f}" height="{_ROW - 2}" '
            f'fill="{colour_of(one.job.build)}"><title>{escape(label)}</title></rect>'
        )
    rows = max((one.slot for one in ran), default=0) + 1
    every = max(1, rows // 40)
    parts += [f'<text x="8" y="{50 + _ROW * row}">slot {row}</text>' for row in range(0, rows, every)]
    return parts


def _axis(y: int, span: float) -> list[str]:
    return [
        f'<text x="{_LEFT + _INNER * part / 6:.0f}" y="{y}" fill="#666">{span * part / 6:.0f} s</text>'
        for part in range(6)
    ]


def _waits(ran: Sequence[Ran], top: int) -> list[str]:
    """For each class the share of jobs that waited at most so long."""
    longest = max((one.wait_s for one in ran), default=0.0) or 1.0
    bottom = top + _WAITS_HEIGHT
    parts = [
        f'<text x="{_LEFT}" y="{top - 8}">share of jobs that waited at most …</text>',
        f'<path d="M{_LEFT} {top}V{bottom}H{WIDTH - 20}" fill="none" stroke="#999"/>',
        f'<text x="{WIDTH - 80}" y="{bottom + 14}" fill="#666">{longest:.0f} s</text>',
        f'<text x="20" y="{top + 8}" fill="#666">100 %</text>',
    ]
    for number, name in enumerate(PRIORITY_CLASSES):
        waits = sorted(one.wait_s for one in ran if one.job.level == name)
        if not waits:
            continue
        step = max(1, len(waits) // 400)
        points = [
            f"{_LEFT + _INNER * wait / longest:.1f},{bottom - _WAITS_HEIGHT * (place + 1) / len(waits):.1f}"
            for place, wait in enumerate(waits)
            if place % step == 0 or place == len(waits) - 1
        ]
        colour = _COLOURS[name]
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{WIDTH - 90}" y="{top + 14 + 14 * number}" fill="{colour}">{name}</text>')
    return parts
