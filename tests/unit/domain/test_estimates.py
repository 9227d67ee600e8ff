"""Durations are learned, forgotten slowly, kept, and taken over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgjob.domain.estimates import INSTALL_PRIOR_S, TEST_PRIOR_S, Estimates

GROUP = ("any", "acme", "v1")
seconds = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=50)


def test_what_was_never_seen_has_its_prior() -> None:
    known = Estimates()
    assert known.group(GROUP) == TEST_PRIOR_S
    assert known.known_of("acme", ["t"]) is None
    assert known.install("acme", "v1") == INSTALL_PRIOR_S


@given(seconds)
def test_an_estimate_lies_within_what_was_seen(samples: list[float]) -> None:
    known = Estimates()
    for sample in samples:
        known.add_run(GROUP, "t", sample)
        known.add_install("acme", "v1", sample)
    for value in (known.known_of("acme", ["t"]), known.group(GROUP), known.install("acme", "v1")):
        assert value is not None
        assert min(samples) * 0.999 <= value <= max(samples) * 1.001


def test_a_new_build_is_expected_to_need_what_the_organisation_needs() -> None:
    known = Estimates()
    known.add_run(GROUP, "t", 3.0)
    known.add_install("acme", "v1", 7.0)
    assert known.group(("any", "acme", "v2")) == 3.0
    assert known.group(("any", "globex", "v2")) == 3.0, "the whole lab's is nearer than a prior"
    assert known.install("acme", "v2") == 7.0


def test_what_is_kept_is_taken_over() -> None:
    known, other = Estimates(), Estimates()
    for name in "abc":
        known.add_run(GROUP, name, 3.0)
    known.add_install("acme", "v1", 7.0)
    other.load(*known.export(), (7.0, 1))
    assert other.known_of("acme", ["b"]) == 3.0
    assert other.install("acme", "v1") == other.install("x", "y") == 7.0
    assert other.group(("any", "acme", "v9")) == pytest.approx(3.0)


def test_the_latest_learned_stands_last() -> None:
    known = Estimates()
    for name in ("a", "b", "a"):
        known.add_run(GROUP, name, 1.0)
    assert [row[1] for row in known.export()[0]] == ["b", "a"]


def test_one_sample_of_an_install_counts_little_beside_those_of_other_builds() -> None:
    known = Estimates()
    for number in range(20):
        known.add_install("acme", f"v{number}", 60.0)
    known.add_install("acme", "slow", 120.0)
    assert 60.0 < known.install("acme", "slow") < 80.0
    for _ in range(40):
        known.add_install("acme", "slow", 120.0)
    assert known.install("acme", "slow") > 110.0
    assert known.install("globex", "v1") == pytest.approx(known.any_install.value)


def test_the_first_samples_make_a_mean() -> None:
    known = Estimates()
    for sample in (1.0, 2.0, 3.0):
        known.add_run(GROUP, "t", sample)
    assert known.known_of("acme", ["t"]) == pytest.approx(2.0)
