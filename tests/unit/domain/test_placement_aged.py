"""The placement policy on a clock: nothing starves, and what low and aged work gets beside the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qgjob.domain.placement.core import take_over
from qgjob.domain.placement.events import JobArrived, SlotSeen
from qgjob.domain.placement.model import GroupKey, Job
from qgjob.domain.placement.stats import (
    AGED_AFTER_S,
    AGED_MAX_DEFERRAL_S,
    AGED_SHARE,
    AGED_START_WEIGHT,
    max_aged_credit,
)
from tests.support.examples import examples
from tests.support.simulated_lab import INSTALL_S, TEST_S, SimulatedLab


@settings(max_examples=examples(12))
@given(
    slots=st.integers(1, 4),
    aged=st.lists(st.tuples(st.sampled_from([2, 5]), st.integers(0, 3)), min_size=1, max_size=5),
    flood=st.lists(st.sampled_from([9, 9, 5]), min_size=1, max_size=7),
    builds=st.integers(1, 6),
)
def test_nothing_starves(slots: int, aged: list[tuple[int, int]], flood: list[int], builds: int) -> None:
    """Under an endless flood the longest wait is bounded by the horizon, the aged ahead and their share.

    In a rush they are put off until they are owed enough.
    """
    lab = SimulatedLab(slots)
    number = 0
    for priority, app in aged:
        lab.add(number, priority=priority, app=f"old{app}")
        number += 1
    waiting = {f"j{n}" for n in range(len(aged))}
    starts_each = 1.0 + (1.0 - AGED_SHARE) / AGED_SHARE / AGED_START_WEIGHT
    owed = max_aged_credit(slots, TEST_S) / AGED_SHARE
    starts = ((len(aged) + 1) * starts_each + owed) / slots
    bound = AGED_AFTER_S + (starts + 2) * (TEST_S + INSTALL_S)
    while waiting and lab.now < 2 * bound:
        while len(lab.state.jobs) < len(waiting) + 3 * slots:
            lab.add(number, priority=flood[number % len(flood)], app=f"new{number % builds}")
            number += 1
        lab.step()
        waiting &= set(lab.state.jobs)
    first = {one.job_id: at for at, one in reversed(lab.starts)}
    assert all(first[f"j{n}"] <= bound for n in range(len(aged)))


def test_aged_work_gets_one_start_in_ten_and_no_more() -> None:
    lab = SimulatedLab(2)
    for number in range(100):
        lab.add(number, priority=2, app="old")
    number = 100
    while lab.now < AGED_AFTER_S + AGED_MAX_DEFERRAL_S + 400 * TEST_S / 2:
        while lab.state.depths[0] < 10:
            lab.add(number, priority=9, app="new")
            number += 1
        lab.step()
    rush = [one for at, one in lab.starts if AGED_AFTER_S < at < AGED_AFTER_S + 0.8 * AGED_MAX_DEFERRAL_S]
    assert not [one for one in rush if one.priority == 2], "it is put off until it is owed enough"
    late = [one for at, one in lab.starts if at > AGED_AFTER_S + AGED_MAX_DEFERRAL_S]
    assert 0.08 <= sum(one.priority == 2 for one in late) / len(late) <= 0.11
    assert not [one for at, one in lab.starts if at < AGED_AFTER_S and one.priority == 2 and at > 0]


def test_aged_work_has_its_share_although_leaders_change_all_the_time() -> None:
    lab = SimulatedLab(2)
    for number in range(100):
        lab.add(number, priority=2, app="old")
    number, next_leader_at = 100, 0.0
    while lab.now < AGED_AFTER_S + AGED_MAX_DEFERRAL_S + 400 * TEST_S / 2:
        if lab.now >= next_leader_at:
            lab.state.stats.aged_credit = 0.0  # nobody tells the next one
            take_over(lab.state, lab.now)
            next_leader_at = lab.now + AGED_MAX_DEFERRAL_S / 4
        while lab.state.depths[0] < 10:
            lab.add(number, priority=9, app="new")
            number += 1
        lab.step()
    late = [one for at, one in lab.starts if at > AGED_AFTER_S + AGED_MAX_DEFERRAL_S]
    assert 0.08 <= sum(one.priority == 2 for one in late) / len(late) <= 0.15
    assert not [one for at, one in lab.starts if 0 < at < AGED_AFTER_S and one.priority == 2]


def test_aged_work_gets_what_it_is_owed_as_soon_as_only_low_work_waits() -> None:
    lab = SimulatedLab(1)
    for number in range(6):
        lab.add(number, priority=2, app="young")
    _waits_since(lab, 6, -AGED_AFTER_S - 1.0, app="old")
    lab.state.stats.aged_credit = 1.0
    lab.step()
    assert lab.starts[-1][1].job_id == "j6", "although the slot has the other build"


def test_what_aged_work_got_by_itself_is_part_of_its_share() -> None:
    lab = SimulatedLab(2)
    for number in range(100):
        _waits_since(lab, number, -AGED_AFTER_S - 1.0, app="old")
    while len(lab.state.jobs) > 60:
        lab.step()
    number, rush = 100, lab.now
    while lab.now < rush + 300 * TEST_S:
        while lab.state.depths[0] < 10:
            lab.add(number, priority=9, app="new")
            number += 1
        lab.step()
    starts = [one for at, one in lab.starts if at > rush]
    spent = int(max_aged_credit(2, TEST_S) * (1.0 / AGED_SHARE - 1.0))
    assert not [one for one in starts[2:spent] if one.priority == 2], (
        "as many starts go to urgent work first as the oldest had by themselves"
    )
    late = starts[spent + 10 :]
    assert 0.08 <= sum(one.priority == 2 for one in late) / len(late) <= 0.12


def test_of_an_aged_push_the_short_tests_come_first_and_what_came_later_after_all_of_it() -> None:
    lab = SimulatedLab(1)
    lab.add(0, priority=9, app="new")
    tests = {1: 300.0, 2: 40.0, 3: 90.0}
    for number, seconds in tests.items():
        _waits_since(lab, number, -AGED_AFTER_S - 100.0 + number, app="old", expected_s=seconds)
    _waits_since(lab, 4, -AGED_AFTER_S + 600.0, app="old", expected_s=10.0)
    number = 5
    while any(f"j{late}" in lab.state.jobs for late in range(1, 5)):
        while lab.state.depths[0] < 3:
            lab.add(number, priority=9, app="new")
            number += 1
        lab.step()
    assert [one.job_id for _, one in lab.starts if one.priority == 2] == ["j2", "j3", "j1", "j4"]


def test_of_low_builds_that_nobody_works_on_the_oldest_is_first() -> None:
    lab = SimulatedLab(2)
    for number in (0, 1):
        lab.add(number, priority=5, app=f"v{number}")
    for number, (app, jobs) in enumerate({"old": 1, "young": 6}.items()):
        lab.now += 1.0
        for of_it in range(jobs):
            lab.add(2 + 100 * number + of_it, priority=2, app=app)
    lab.step()
    assert lab.starts[-1][1].group.app_version_id == "old"


def _waits_since(
    lab: SimulatedLab, number: int, arrived_at: float, *, app: str, expected_s: float = TEST_S
) -> None:
    """A low job that waits for long."""
    group = GroupKey("any", "o", app)
    lab.feed(JobArrived(Job(f"j{number}", group, "t", 2, arrived_at, number, expected_s=expected_s)))


@pytest.mark.parametrize(("waited_s", "waits"), [(AGED_AFTER_S, True), (1.3 * AGED_AFTER_S, False)])
def test_aged_work_waits_a_while_for_slots_that_are_through_with_its_build_soon(
    waited_s: float, *, waits: bool
) -> None:
    lab = SimulatedLab(2)
    lab.add(0, priority=5, app="new")
    lab.add(1, priority=5, app="old")
    old = Job("j2", GroupKey("any", "o", "old"), "t", 2, -waited_s, 2, expected_s=TEST_S)
    lab.feed(JobArrived(old))
    urgent = [lab.add(number, priority=9, app=f"urgent{number}") for number in (3, 4)]
    lab.state.stats.aged_credit = max_aged_credit(2, TEST_S)
    lab.step()
    assert (old.job_id in lab.state.jobs) is waits, "the slot that has its build is free soon"
    lab.step()
    assert old.job_id not in lab.state.jobs, "its turn was kept for it"
    assert sum(one.job_id in lab.state.jobs for one in urgent) == 1


def _waits_long(lab: SimulatedLab, *, low_s: float) -> None:
    """As if medium jobs had waited for an hour under FCFS, so that thresholds are those for long waits."""
    fcfs = lab.state.stats.of("any", frozenset()).fcfs
    for _ in range(100):
        fcfs.waits[1].add(3600.0)
        fcfs.waits[2].add(low_s)


def test_low_work_gets_a_further_slot_when_its_last_job_would_wait_longer_than_any_usually_does() -> None:
    lab = SimulatedLab(1)
    _waits_long(lab, low_s=1000.0)
    for number in range(14):  # the slot is through with them in another 14 minutes
        old = Job(f"j{number}", GroupKey("any", "o", "old"), "t", 2, -900.0, number, expected_s=TEST_S)
        lab.feed(JobArrived(old))
    for number in range(14, 26):
        lab.add(number, priority=2, app="young")
    lab.feed(SlotSeen("a/s1", frozenset(), True, frozenset(), None, None))
    assert [one.group.app_version_id for _, one in lab.starts] == ["old", "old"]


def test_at_the_end_of_a_backlog_an_older_build_goes_before_a_further_slot_for_a_younger_one() -> None:
    lab = SimulatedLab(1)
    _waits_long(lab, low_s=2000.0)
    for number in range(41):
        lab.add(number, priority=2, app="young")
    for number in (41, 42):
        _waits_since(lab, number, -100.0, app="old")
    for _ in range(22):  # nothing came for longer than all that waits will take
        lab.step()
    assert {one.group.app_version_id for _, one in lab.starts} == {"young"}, "the slot stays on its build"
    lab.feed(SlotSeen("a/s1", frozenset(), True, frozenset(), None, None))
    assert lab.starts[-1][1].group.app_version_id == "old", "young is late, and old will be"


def test_low_work_of_a_backlog_comes_after_medium_work() -> None:
    lab = SimulatedLab(4)
    for number in range(360):
        lab.add(number, priority=5, app=f"medium{number % 18}")
    for number in range(360, 480):
        lab.add(number, priority=2, app=f"low{number % 6}")
    while lab.ends:
        lab.step()
    priorities = [one.priority for _, one in lab.starts]
    assert priorities.index(2) > 300


def test_low_builds_share_the_end_of_a_backlog_so_that_the_old_one_is_done_first() -> None:
    lab = SimulatedLab(8)
    for number in range(800):
        lab.add(number, priority=5, app=f"medium{number % 8}")
    for number in range(800, 860):
        lab.add(number, priority=2, app="old")
    for _ in range(240):
        lab.step()
    for number in range(860, 1160):
        lab.add(number, priority=2, app=f"young{number % 10}")
    while lab.ends:
        lab.step()
    longest = {"old": 0.0, "young": 0.0}
    for at, one in lab.starts:
        app = one.group.app_version_id.rstrip("0123456789")
        if app in longest:
            longest[app] = max(longest[app], at - one.arrived_at)
    assert longest["old"] < longest["young"]
