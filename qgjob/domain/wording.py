"""Counts, sizes and lists as sentences have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def pluralize(number: int, what: str) -> str:
    """`1 slot`, `2 slots`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def show_size(size: float) -> str:
    """A number of bytes: `812 B`, `3.4 KiB`, `48.1 MiB`; a whole number as `50 MiB`, as limits are."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size // unit:.0f} {name}" if size % unit == 0 else f"{size / unit:.1f} {name}"
    return f"{size:.0f} B"


def shorten(text: str, most: int) -> str:
    """A text of at most so many characters, the last an ellipsis where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def first_of(names: Sequence[str], most: int) -> str:
    """`a, b and 3 more`: the first `most` of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def waiting_jobs(depths: Mapping[str, int], delayed: int) -> str:
    """`12 (high 0, medium 9, low 3), 2 of them for their time`: how many jobs wait, by priority class."""
    from bus_schemas.subjects import PRIORITY_CLASSES  # the first paint of the dashboard needs none of it

    classes = ", ".join(f"{name} {depths.get(name, 0)}" for name in PRIORITY_CLASSES)
    later = f", {delayed} of them for their time" if delayed else ""
    return f"{sum(depths.values())} ({classes}){later}"
