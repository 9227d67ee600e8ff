"""How far a run is, as a bar: what failed stands first, what passed next, then what is at work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tui.draw.spans import Line

_PARTS: Final = (
    (("failed", "timed_out"), "bad"),
    (("errored",), "lab"),
    (("passed",), "good"),
    (("cancelled", "expired"), "faint"),
    (("running", "preparing", "dispatched"), "busy"),
)


def progress(counts: Mapping[str, int], total: int, width: int) -> Line:
    """A bar of exactly `width` cells; a single failure among thousands is still seen."""
    if width <= 0:
        return ()
    sizes = [(sum(counts.get(state, 0) for state in states), ink) for states, ink in _PARTS]
    line: list[tuple[str, str]] = []
    used = 0
    seen = 0
    for number, ink in sizes:
        if not number or not total:
            continue
        seen += number
        stop = min(width, max(used + 1, round(seen / total * width)))
        if stop > used:
            line.append(("━" * (stop - used), ink))
            used = stop
    if used < width:
        line.append(("─" * (width - used), "track"))
    return tuple(line)
