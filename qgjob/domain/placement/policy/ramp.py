"""Thresholds that change with what is measured: constant, then a straight line, then constant."""

from __future__ import annotations

Ramp = tuple[float, float, float, float]
"""(x0, y0, x1, y1) with x0 < x1."""


def interpolate(x: float, ramp: Ramp) -> float:
    """y0 up to x0, y1 from x1 on, linear between them."""
    x0, y0, x1, y1 = ramp
    if x <= x0:
        return y0
    if x >= x1:
        return y1
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
