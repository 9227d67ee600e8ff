"""How long to wait before something that failed is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qgjob.backoff import Backoff


def test_it_doubles_to_its_limit_and_starts_over_after_a_settled_life() -> None:
    backoff = Backoff(first_s=1, longest_s=5, settled_s=30)
    assert [backoff.after(lasted_s=0) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.after(lasted_s=29.9) == 5
    assert [backoff.after(lasted_s=30), backoff.after(lasted_s=0)] == [1, 2]


@given(st.lists(st.floats(min_value=0, max_value=1e6)))
def test_it_always_waits_and_never_longer_than_the_limit(lives: list[float]) -> None:
    backoff = Backoff()
    for lived_s in lives:
        assert backoff.first_s <= backoff.after(lived_s) <= backoff.longest_s
