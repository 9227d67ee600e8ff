from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from qgjob.domain.sharding import OPENING_S, balance_shards

NAMES = st.lists(st.text("abc/._", min_size=1, max_size=6), unique=True, max_size=40)
SECONDS = st.floats(0, 1000, allow_nan=False)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[str], dict[str, float], int]:
    tests = draw(NAMES)
    known = draw(st.dictionaries(st.sampled_from(tests), SECONDS)) if tests else {}
    return tests, known, draw(st.integers(1, 12))


@given(runs())
def test_every_file_is_in_one_shard_in_its_order_and_no_shard_is_empty(
    run: tuple[list[str], dict[str, float], int],
):
    tests, known, wanted = run
    shards = balance_shards(tests, known, wanted)
    assert sorted(file for files in shards for file in files) == sorted(tests)
    assert len(shards) == min(wanted, len(tests))
    assert all(shards)
    place = {test: number for number, test in enumerate(tests)}
    assert all([place[file] for file in files] == sorted(place[file] for file in files) for files in shards)
    assert balance_shards(tests, known, wanted) == shards


@given(st.lists(SECONDS, min_size=1, max_size=7), st.integers(1, 3))
def test_the_longest_shard_is_at_most_a_third_longer_than_in_the_best_way(costs: list[float], wanted: int):
    known = {str(number): cost for number, cost in enumerate(costs)}
    costs = [cost + OPENING_S for cost in costs]
    loads = [
        sum(known[file] + OPENING_S for file in files) for files in balance_shards(list(known), known, wanted)
    ]
    best = min(
        max(sum(cost for cost, mine in zip(costs, dealt, strict=True) if mine == n) for n in range(wanted))
        for dealt in product(range(wanted), repeat=len(costs))
    )
    assert max(loads) <= best * 4 / 3 + 1e-6


def test_files_that_take_no_time_are_not_all_put_into_the_shard_that_has_least():
    known = {f"{number}.py": 0.001 if number < 30 else 0.0 for number in range(300)}
    assert {len(files) for files in balance_shards(list(known), known, 8)} == {37, 38}


def test_what_was_never_seen_counts_as_the_median_of_what_was():
    assert balance_shards(["a", "b", "c", "d"], {"a": 100.0, "b": 10.0, "c": 10.0}, 2) == [
        ["a"],
        ["b", "c", "d"],
    ]
    assert balance_shards(["a", "b", "c"], {}, 2) == [["a", "c"], ["b"]]
    assert balance_shards([], {}, 3) == []
