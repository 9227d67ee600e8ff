"""Bars, charts, times and sizes: as wide as they may be, and never a lie."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.jobs import priority_class
from bus_schemas.queries import Overview
from qgjob.domain.wording import show_size
from tests.support.clock import ManualClock
from tests.support.lab.model import START
from tui.draw.bars import area, bar, nice_maximum, rule, spark
from tui.draw.spans import width_of
from tui.draw.states import priority_ink
from tui.draw.times import age, short_count, span
from tui.store.store import Store
from tui.widgets.queue_panel import QueuePanel


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 50))
def test_bars_fit_and_nothing_but_nothing_is_invisible(value: float, maximum: float, width: int) -> None:
    for draw in (bar, rule):
        drawn = draw(value, maximum, width)
        assert len(drawn) <= width
        assert bool(drawn) == (value > 0 and maximum > 0 and width > 0)


@given(st.lists(st.floats(0, 1e6), max_size=60), st.integers(1, 40), st.integers(1, 5))
def test_charts_have_the_size_that_was_asked_for(values: list[float], width: int, height: int) -> None:
    rows = area(values, width, height)
    assert [len(row) for row in rows] == [width] * height
    for column, value in enumerate(reversed(values[-width:])):
        assert (rows[-1][-1 - column] != " ") == (value > 0)


def test_a_chart_reads_from_the_left() -> None:
    assert spark([0, 1, 2, 4, 8], 5) == " ▁▂▄█"
    assert spark([8], 3) == "  █"
    assert area([1, 2], 2, 2) == [" █", "██"]
    assert (bar(1, 2, 4), rule(3, 8, 4)) == ("██", "━╸")


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (3, 5), (7, 10), (11, 20), (99, 100), (740, 1000)]
)
def test_scales_are_round(value: float, top: float) -> None:
    assert nice_maximum(value) == top


@given(st.floats(0, 1e9))
def test_durations_are_short(seconds: float) -> None:
    assert len(span(seconds)) <= 5
    assert len(age(seconds)) <= 5
    assert len(short_count(seconds)) <= 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (9.9, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m00"),
        (187, "3m07"),
        (7500, "2h05"),
        (273_600, "3d4h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_sizes_and_counts() -> None:
    assert (show_size(812), show_size(3_565_158), show_size(5 * 2**30)) == ("812 B", "3.4 MiB", "5 GiB")
    assert (short_count(999), short_count(1200), short_count(45_000), short_count(999_999)) == (
        "999",
        "1.2k",
        "45k",
        "1.0M",
    )


def test_the_ink_of_a_priority_is_that_of_its_class() -> None:
    assert [priority_ink(number) for number in range(1, 11)] == [priority_class(n) for n in range(1, 11)]


@given(st.integers(8, 70), st.integers(0, 10**6), st.integers(0, 999), st.integers(0, 99))
def test_the_queue_tells_no_half_numbers(width: int, passed: int, failed: int, errored: int) -> None:
    store = Store(ManualClock(START))
    store.apply_overview(
        Overview(at=START, running=failed, waiting=passed, oldest_wait_s=5000.0, held=failed, delayed=errored)
    )
    today = store.jobs.today
    today.ended.update(passed=passed, failed=failed, errored=errored)
    today.made, today.avoided = failed, passed
    for number in range(errored):
        store.history.count_end(START - number / 2)
        store.waits.record(f"j_{number}", 100.0 * number)
    lines = QueuePanel(store, "queue").draw(width, 12)
    whole = {short_count(number) for number in (passed, failed, errored)}
    for line in lines[-4:]:
        assert width_of(line) <= width
        said = "".join(text for text, _ in line)
        for number, word in re.findall(r"(\S+) (passed|failed|errored|installs|avoided|held|delayed)", said):
            assert number in whole, (word, said)
