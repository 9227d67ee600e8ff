"""The policy's thresholds: those for short waits where FCFS waits little, those for long waits elsewhere."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from qgjob.domain.placement.fcfs_queue import FcfsQueue
from qgjob.domain.placement.policy.thresholds import LONG_WAITS, SHORT_WAITS, Thresholds, thresholds
from qgjob.domain.placement.stats import CapabilityStats

ROUND_S = 100.0


def stats_of(waits_s: list[float], slots: int = 2) -> CapabilityStats:
    """What is known after medium jobs waited so long under FCFS."""
    fcfs = FcfsQueue(frozenset())
    for wait_s in waits_s:
        fcfs.waits[1].add(wait_s)
    return CapabilityStats(fcfs, slots=slots)


def figures(of: Thresholds) -> list[float]:
    """All of their figures."""
    values: list[float | tuple[float, ...]] = [getattr(of, field.name) for field in fields(Thresholds)]
    return [x for value in values for x in (value if isinstance(value, tuple) else (value,))]


def test_the_usual_wait_of_medium_jobs_decides() -> None:
    assert thresholds(stats_of([20 * ROUND_S] * 100), ROUND_S, 0.0) == LONG_WAITS
    assert thresholds(stats_of([0.1 * ROUND_S] * 100), ROUND_S, 0.0) == SHORT_WAITS


def test_waits_are_taken_to_be_long_before_they_are_known() -> None:
    assert thresholds(stats_of([]), ROUND_S, 0.0) == LONG_WAITS
    assert thresholds(stats_of([0.0] * 3, slots=50), ROUND_S, 0.0) == LONG_WAITS


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 300), st.integers(0, 3000))
def test_thresholds_lie_between_the_two_and_longer_waits_move_them_to_those_for_long_waits(
    one_s: float, more_s: float, slots: int, number: int
) -> None:
    shorter, longer = (
        figures(thresholds(stats_of([wait_s] * number, slots), ROUND_S, 0.0))
        for wait_s in (one_s, one_s + more_s)
    )
    for short, long, at_shorter, at_longer in zip(
        figures(SHORT_WAITS), figures(LONG_WAITS), shorter, longer, strict=True
    ):
        low, high = sorted((short, long))
        assert low - 1e-9 <= at_shorter <= high + 1e-9
        assert abs(at_longer - long) <= abs(at_shorter - long) + 1e-9
