from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgjob.client.ids import derived_id, kind_of, made_at, new_ids

times = st.floats(min_value=0, max_value=4e9)


@given(times, st.integers(1, 50))
def test_new_ids_are_distinct_ordered_and_of_the_documented_form(now: float, count: int):
    ids = new_ids("job", count, now)
    assert ids == sorted(set(ids))
    assert all(len(one) == 28 and one.startswith("j_") and kind_of(one) == "job" for one in ids)


@given(times, times)
def test_later_ids_sort_behind_earlier_ones(one: float, other: float):
    early, late = sorted((one, other))
    if late - early > 0.01:
        assert new_ids("run", 3, early)[-1] < new_ids("run", 1, late)[0]


@given(times)
def test_a_new_id_tells_when_it_was_made(now: float):
    (run_id,) = new_ids("run", 1, now)
    assert made_at(run_id) == pytest.approx(now, abs=0.002)


def test_two_calls_at_one_moment_make_different_ids():
    assert not {*new_ids("job", 100, 1.0)} & {*new_ids("job", 100, 1.0)}


names = st.text(min_size=1, max_size=20)


@given(names, names, names, names, st.integers(0, 9), st.integers(0, 9))
def test_derived_ids_depend_on_all_they_derive_from(
    org1: str, org2: str, key1: str, key2: str, p1: int, p2: int
):
    one, other = derived_id("job", org1, key1, p1), derived_id("job", org2, key2, p2)
    assert (one == other) == ((org1, key1, p1) == (org2, key2, p2))
    assert kind_of(one) == "job"


def test_a_run_and_its_first_job_have_different_characters_too():
    assert derived_id("run", "acme", "k")[2:] != derived_id("job", "acme", "k", 0)[2:]


@pytest.mark.parametrize(
    "text", ["", "j_", "j_1", "x_" + "0" * 26, "j_" + "0" * 25 + "\n", "j_" + "u" * 26, "r_*.>"]
)
def test_other_texts_are_no_ids(text: str):
    assert kind_of(text) is None
