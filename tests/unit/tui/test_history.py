"""What the charts remember: rings, series, rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.store.history import History, Rate, Ring, Series


@given(st.lists(st.floats(0, 100), max_size=50), st.integers(1, 20), st.integers(0, 60))
def test_a_ring_keeps_the_last(values: list[float], capacity: int, count: int) -> None:
    ring = Ring(capacity)
    for value in values:
        ring.add(value)
    assert ring.last(count) == values[-capacity:][-count:] if count else ring.last(0) == []


def test_series_roll_up() -> None:
    series = Series()
    for value in range(120):
        series.add(value)
    assert series.plot(6) == [*(4.5 + 10 * step for step in range(6, 12))]
    assert series.plot(1) == [89.5]


def test_a_plot_covers_more_time_as_time_goes_on() -> None:
    series = Series()
    assert series.plot(10) == []
    for value in range(15):
        series.add(value)
    assert series.plot(10) == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    for value in range(15, 45):
        series.add(value)
    assert series.plot(10) == [4.5, 14.5, 24.5, 34.5, 42.0]
    for _ in range(3000):
        series.add(7)
    assert series.plot(10) == [7] * 10
    assert series.plot(0) == []


def test_what_began_to_wait_later_has_the_time_axis_of_all_others() -> None:
    history = History(0.0)
    for second in range(500):
        history.sample(second, {"high": 1}, 0)
    for second in range(500, 530):
        history.sample(second, {"high": 1}, 0, {"ios": 4})
    for columns in (5, 20, 200):
        ios, high = history.capabilities["ios"].plot(columns), history.depths["high"].plot(columns)
        assert history.capabilities["ios"].step_of(columns) == history.depths["high"].step_of(columns)
        assert len(ios) == len(high), columns
    assert history.capabilities["ios"].plot(30)[-4:] == [0, 4, 4, 4]
    assert sum(history.capabilities["ios"].plot(700)) == 30 * 4


def test_history_takes_one_value_a_second_and_holds_over_a_gap() -> None:
    history = History(0.0)
    assert history.sample(10.2, {"high": 3}, 1)
    assert not history.sample(10.9, {"high": 9}, 1)
    history.count_end(11.0)
    assert history.sample(13.0, {"high": 5}, 2)
    assert history.depths["high"].plot(9) == [3, 5, 5, 5]
    assert history.ended.plot(9) == [0, 1, 0, 0]
    history.sample(1000.0, {}, 0)
    assert history.running.seen == 4 + History.MAX_GAP_S + 1


def test_a_rate_goes_by_when_things_happened_and_by_the_time_that_was_seen() -> None:
    rate = Rate(since=1000.0)
    assert rate.per_minute(1000.0) == 0
    for second in range(1000, 1020):
        rate.record(second + 0.5)
    assert rate.per_minute(1020.0) == 60, "20 in 20 s"
    for second in range(1020, 1400):
        rate.record(second + 0.5)
        rate.record(second + 0.7)
    assert rate.per_minute(1400.0) == pytest.approx(120, abs=2)
    assert rate.per_minute(1430.0) == pytest.approx(60, abs=2), "half of the minute was quiet"
    assert rate.per_minute(9999.0) == 0
