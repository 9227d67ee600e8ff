"""From one figure to another."""

from __future__ import annotations

Slope = tuple[float, float, float, float]
"""From where, its value there, to where, its value there."""


def between(x: float, slope: Slope) -> float:
    """The first value up to the first place, the second from the second on, a straight line between them."""
    low, at_low, high, at_high = slope
    if x <= low:
        return at_low
    if x >= high:
        return at_high
    return at_low + (at_high - at_low) * (x - low) / (high - low)
