"""Token buckets: what they let through, what they promise, and what they cost."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from qgjob.gateway.limits import Buckets, Rate, retry_after

rates = st.builds(
    Rate,
    per_s=st.floats(min_value=0.01, max_value=10_000, allow_subnormal=False),
    burst=st.integers(min_value=1, max_value=500),
)
pauses = st.one_of(st.just(0.0), st.floats(min_value=0, max_value=120))
comings = st.lists(st.tuples(st.sampled_from("abc"), pauses, st.integers(1, 40)), max_size=60)


def told(rate: Rate, came: list[tuple[str, float, int]]) -> list[tuple[str, float, int, float]]:
    """Who came when for how much, and what was answered."""
    buckets, now, answers = Buckets(rate), 1000.0, list[tuple[str, float, int, float]]()
    for caller, pause, count in came:
        now += pause
        answers.append((caller, now, count, buckets.take(caller, now, count)))
    return answers


@given(rates, comings)
def test_in_no_time_is_more_let_through_than_the_rate_allows(rate: Rate, came: list[tuple[str, float, int]]):
    taken = defaultdict[str, list[tuple[float, int]]](list)
    for caller, now, count, wait in told(rate, came):
        if not wait:
            taken[caller].append((now, count))
    slack = 1e-6 + 2e-6 * rate.per_s  # of rounding
    for times in taken.values():
        for first, (begin, _) in enumerate(times):
            before = 0
            for now, count in times[first:]:
                # One that is larger than the bucket takes a full one; what it owes is paid before the next.
                allowed = rate.burst + (now - begin) * rate.per_s
                assert before + min(count, rate.burst) <= allowed + slack
                before += count


@given(rates, comings, st.integers(1, 1000))
def test_who_comes_again_when_told_is_let_in_and_not_a_second_earlier(
    rate: Rate, came: list[tuple[str, float, int]], count: int
):
    def after(pause: float) -> float:
        buckets, now = Buckets(rate), 1000.0
        for caller, before, taken in came:
            now += before
            buckets.take(caller, now, taken)
        return buckets.take("a", now + pause, count)

    wait = after(0)
    if wait:
        seconds = retry_after(wait)
        assert seconds >= 1
        assert after(seconds) == 0
        assert seconds == 1 or after(seconds - 1) > 0


@given(rates, comings)
def test_callers_do_not_feel_each_other(rate: Rate, came: list[tuple[str, float, int]]):
    together = [answer for answer in told(rate, came) if answer[0] == "a"]
    now, buckets = 1000.0, Buckets(rate)
    alone: list[float] = []
    for caller, pause, count in came:
        now += pause
        if caller == "a":
            alone.append(buckets.take("a", now, count))
    assert [answer[3] for answer in together] == alone


@given(rates, comings)
def test_a_refusal_takes_nothing(rate: Rate, came: list[tuple[str, float, int]]):
    let_in = [(caller, now, count) for caller, now, count, wait in told(rate, came) if not wait]
    buckets = Buckets(rate)
    assert all(buckets.take(caller, now, count) == 0 for caller, now, count in let_in)


@given(rates, st.lists(st.tuples(st.integers(0, 400), pauses), max_size=300), st.integers(1, 20))
def test_few_are_remembered_however_many_come(rate: Rate, came: list[tuple[int, float]], most: int):
    buckets, now = Buckets(rate, most), 0.0
    for caller, pause in came:
        now += pause
        buckets.take(str(caller), now)
        assert len(buckets) <= most


@given(st.integers(2, 50))
def test_the_greediest_is_not_forgotten_for_those_who_came_once(most: int):
    buckets = Buckets(Rate(per_s=1, burst=5), most)
    for _ in range(5):
        assert buckets.take("greedy", 0.0) == 0
    for other in range(10 * most):
        assert buckets.take(f"other {other}", 0.0) == 0
        assert buckets.take("greedy", 0.0) == 1


@given(rates, st.integers(1, 1000))
def test_what_is_given_back_was_not_taken(rate: Rate, count: int):
    buckets = Buckets(rate)
    assert buckets.take("a", 0.0, count) == 0
    buckets.give_back("a", count)
    assert buckets.take("a", 0.0, rate.burst) == 0


def test_more_than_a_bucket_holds_is_let_through_once_and_owed():
    buckets = Buckets(Rate(per_s=100, burst=6000))
    assert buckets.take("acme", 0.0, 100_000) == 0
    assert buckets.take("acme", 0.0) == (100_000 - 6000 + 1) / 100
    assert buckets.take("acme", 940.0) > 0
    assert buckets.take("acme", 940.01) == 0


def test_whole_seconds_at_least_one():
    assert [retry_after(wait) for wait in (0.001, 0.99, 1.0, 1.0000001, 1.01, 2.5)] == [1, 1, 1, 1, 2, 3]
