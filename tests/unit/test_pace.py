"""How much of a file is on its way at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qgjob.bus.transfer_window import TransferWindow

KIB = 1024


def test_it_is_what_the_link_carries_in_a_second():
    pace = TransferWindow(256 * KIB, 6 * 1024 * KIB)
    assert pace.window == 256 * KIB
    pace.on_transferred(256 * KIB, 0.25)
    assert pace.window == 1024 * KIB
    pace.on_transferred(1024 * KIB, 0.001)
    assert pace.window == 6 * 1024 * KIB
    pace.on_transferred(6 * 1024 * KIB, 0.0)  # quicker than the clock tells
    assert pace.window == 6 * 1024 * KIB
    pace.on_stalled()
    assert pace.window == 256 * KIB


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 1e6)), max_size=20))
def test_it_stays_within_its_bounds(moves: list[tuple[int, float]]):
    pace = TransferWindow(10, 1000)
    for size, seconds in moves:
        pace.on_transferred(size, seconds)
        assert 10 <= pace.window <= 1000


@given(st.integers(20 * KIB, 100_000 * KIB), st.floats(0.0001, 0.5))
def test_it_finds_every_link_within_a_few_steps(rate: int, latency_s: float):
    pace = TransferWindow(256 * KIB, 6 * 1024 * KIB)
    for _ in range(30):
        pace.on_transferred(pace.window, latency_s + pace.window / rate)
    assert latency_s + pace.window / rate <= 256 * KIB / rate + 2, "nothing waits long behind it"
    assert pace.window >= min(rate * (1 - latency_s), 6 * 1024 * KIB) * 0.9, "and the link is used"
