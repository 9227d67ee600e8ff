"""First come, first served: by hand for small cases, by its laws for any."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgjob.demo.replay import Arrival, Replay, first_come


def came(versions: str, *, took_s: float = 1.0, every_s: float = 0.0) -> list[Arrival]:
    """A job for each letter, which is its build."""
    return [Arrival(number * every_s, version, took_s) for number, version in enumerate(versions)]


@pytest.mark.parametrize(
    ("versions", "slots", "installs"),
    [
        ("", 3, 0),
        ("aaaa", 1, 1),
        ("abab", 1, 4),
        ("abab", 2, 2),  # by luck each build finds its own slot
        ("abba", 2, 4),
        ("aabb", 2, 4),
        ("abcabc", 4, 6),
        ("aaaa", 4, 4),
    ],
)
def test_installs_by_hand(versions: str, slots: int, installs: int) -> None:
    assert first_come(came(versions), slots, {}).total_installs == installs


def test_times_by_hand() -> None:
    jobs = [
        Arrival(10.0, "a", 2.0),
        Arrival(10.5, "b", 1.0),
        Arrival(11.0, "a", 5.0),
        Arrival(30.0, "a", 1.0),
    ]
    replay = first_come(jobs, 2, {"a": 3.0, "b": 1.0})
    assert replay.installs == {"a": 2, "b": 1}
    # The slot with b is free first, at 12.5, and has to install a.
    assert [(s.slot, s.version, s.kind, s.began, s.ended) for s in replay.spans] == [
        ("0", "a", "install", 10.0, 13.0),
        ("0", "a", "test", 13.0, 15.0),
        ("1", "b", "install", 10.5, 11.5),
        ("1", "b", "test", 11.5, 12.5),
        ("1", "a", "install", 12.5, 15.5),
        ("1", "a", "test", 15.5, 20.5),
        ("0", "a", "test", 30.0, 31.0),
    ]
    assert replay.ended_at == 31.0


def test_the_longest_idle_slot_is_taken_whatever_it_holds() -> None:
    jobs = [Arrival(0.0, "a", 1.0), Arrival(0.0, "b", 2.0), Arrival(10.0, "b", 1.0)]
    assert first_come(jobs, 2, {}).installs == {"a": 1, "b": 2}


def test_the_order_is_that_of_arrival_not_of_the_list() -> None:
    jobs = [Arrival(2.0, "a", 1.0), Arrival(0.0, "a", 1.0), Arrival(1.0, "b", 1.0)]
    assert first_come(jobs, 1, {}).installs == {"a": 2, "b": 1}


def test_a_build_whose_install_was_never_seen_takes_the_default() -> None:
    assert first_come(came("a"), 1, {}, default_install_s=4.0).ended_at == 5.0


def test_no_slots() -> None:
    with pytest.raises(ValueError, match="slot"):
        first_come([], 0, {})


seconds = st.floats(0, 100, allow_nan=False)
arrivals = st.lists(st.builds(Arrival, seconds, st.sampled_from("abc"), seconds, st.booleans()), max_size=60)


@given(arrivals, st.integers(1, 6), seconds)
def test_its_laws(jobs: list[Arrival], slots: int, install_s: float) -> None:
    replay = first_come(jobs, slots, dict.fromkeys("abc", install_s))
    builds = {job.version for job in jobs}
    assert len(builds) <= replay.total_installs <= len(jobs)
    assert set(replay.installs) == builds
    assert sum(span.kind == "test" for span in replay.spans) == len(jobs)
    assert sum(span.kind == "install" for span in replay.spans) == replay.total_installs
    _no_slot_does_two_things(replay, slots)
    _served_in_order(replay, sorted(jobs, key=lambda job: job.at))
    assert replay.ended_at == max((span.ended for span in replay.spans), default=0.0)


@given(arrivals)
def test_a_single_slot_installs_at_every_change(jobs: list[Arrival]) -> None:
    order = [job.version for job in sorted(jobs, key=lambda job: job.at)]
    changes = sum(one != other for one, other in pairwise(order))
    assert first_come(jobs, 1, {}).total_installs == changes + bool(order)


def _no_slot_does_two_things(replay: Replay, slots: int) -> None:
    assert {span.slot for span in replay.spans} <= {str(number) for number in range(slots)}
    for slot in {span.slot for span in replay.spans}:
        mine = [span for span in replay.spans if span.slot == slot]
        holds = None
        for before, after in zip([None, *mine], mine, strict=False):
            assert before is None or before.ended <= after.began
            if after.kind == "install":
                holds = after.version
            assert after.version == holds, "a test ran on another build than its own"


def _served_in_order(replay: Replay, jobs: list[Arrival]) -> None:
    """Each job in its turn begins, by its install or itself, not before it came nor before the one ahead."""
    taken = [
        span
        for before, span in zip([None, *replay.spans], replay.spans, strict=False)
        if span.kind == "install" or before is None or before.kind == "test"
    ]
    assert [span.version for span in taken] == [job.version for job in jobs]
    assert all(span.began >= job.at for span, job in zip(taken, jobs, strict=True))
    assert all(one.began <= other.began for one, other in pairwise(taken))
