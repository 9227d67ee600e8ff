"""From one figure to another."""

from __future__ import annotations


def between(x: float, low: float, at_low: float, high: float, at_high: float) -> float:
    """`at_low` up to `low`, `at_high` from `high` on, and a straight line between them."""
    if x <= low:
        return at_low
    if x >= high:
        return at_high
    return at_low + (at_high - at_low) * (x - low) / (high - low)
