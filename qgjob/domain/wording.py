"""Counts in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from bus_schemas.subjects import PRIORITY_CLASSES


def pluralize(number: int, what: str) -> str:
    """`1 slot`, `2 slots`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def waiting_jobs(depths: Mapping[str, int], delayed: int) -> str:
    """`12 (high 0, medium 9, low 3), 2 of them for their time`: how many jobs wait, by priority class."""
    classes = ", ".join(f"{name} {depths.get(name, 0)}" for name in PRIORITY_CLASSES)
    later = f", {delayed} of them for their time" if delayed else ""
    return f"{sum(depths.values())} ({classes}){later}"
