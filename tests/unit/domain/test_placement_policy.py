"""The placement policy on a clock, rule by rule: nothing starves, urgent work, rare slots."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qgjob.domain.estimates import TEST_PRIOR_S
from qgjob.domain.placement.core import take_over
from qgjob.domain.placement.events import JobArrived, JobReprioritised, Release, SlotSeen, Tick
from qgjob.domain.placement.model import GroupKey, Job
from qgjob.domain.placement.stats import (
    AGED_AFTER_S,
    AGED_MAX_DEFERRAL_S,
    AGED_SHARE,
    AGED_START_WEIGHT,
    max_aged_credit,
)
from tests.support.placement import World, job
from tests.support.simulated_lab import INSTALL_S, TEST_S, SimulatedLab, usually_waits


@settings(max_examples=12)
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


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(0, 4)), min_size=1, max_size=30))
def test_a_slot_that_comes_takes_the_most_urgent_class_first(waiting: list[tuple[int, int]]) -> None:
    world = World()
    for number, (priority, app) in enumerate(waiting):
        world.feed(JobArrived(job(number, priority=priority, app=f"v{app}", at=float(number))))
    world.add_slot("a/s0", ())
    (released,) = world.released.values()
    assert released.level == min(job(0, priority=priority).level for priority, _ in waiting)


def test_an_urgent_job_waits_for_a_slot_that_has_the_build_rather_than_for_an_install() -> None:
    lab = SimulatedLab(2)
    lab.add(0, priority=5, app="v1")
    lab.now += 70.0  # the install and most of the test are over
    urgent = lab.add(1, priority=9, app="v1")
    assert urgent.job_id in lab.state.jobs, "10 s until the slot is free, 20 s for an install elsewhere"
    far = lab.add(2, priority=9, app="v2")
    assert far.job_id not in lab.state.jobs, "nobody has its build"


def test_a_holder_that_is_held_up_is_not_waited_for() -> None:
    lab = SimulatedLab(2)
    lab.add(0, priority=5, app="v1")
    lab.now += 70.0
    waits = lab.add(1, priority=9, app="v1")
    assert waits.job_id in lab.state.jobs
    lab.now += 300.0
    lab.feed(Tick())
    assert waits.job_id not in lab.state.jobs, "a slot is idle, and the other has hung for minutes"


def test_an_urgent_push_takes_as_few_slots_as_start_it_in_time() -> None:
    lab = SimulatedLab(6)
    usually_waits(lab, 130.0)
    for number in range(5):  # two tests one after the other start in time (20 and 80 s), a third does not
        lab.add(number, priority=9, app="new")
    while lab.ends:
        lab.step()
    assert len(lab.builds) == 3
    assert max(at for at, _ in lab.starts) <= 80.0


def test_who_is_behind_waits_for_no_slot_that_may_be_done_too_late() -> None:
    for ours, slots in ((100.0, 1), (180.0, 2)):
        lab = SimulatedLab(2)
        usually_waits(lab, 130.0)
        for _ in range(50):
            lab.state.stats.of("any", frozenset()).waits[0].add(ours)
        for number in range(2):  # the first is expected to be done in time for the second
            lab.add(number, priority=9, app="new")
        assert len(lab.builds) == slots


def test_a_slot_leaves_a_build_to_which_ever_more_comes_for_one_that_waits_longer() -> None:
    for priority in (5, 2):
        lab = SimulatedLab(1)
        lab.state.stats.of("any", frozenset()).fcfs.waits[1 if priority == 5 else 2].add(100.0)
        lab.add(0, priority=priority, app="busy")
        overtaken = lab.add(1, priority=priority, app="other")
        for number in range(2, 14):
            lab.add(number, priority=priority, app="busy")
            lab.step()
        began = next((at for at, job in lab.starts if job is overtaken), None)
        assert began is not None
        assert began <= 6 * (TEST_S + INSTALL_S)


def test_a_slot_leaves_its_build_before_medium_waits_are_behind_but_not_while_they_are_short() -> None:
    for ours, leaves in ((80.0, True), (60.0, False)):
        lab = SimulatedLab(1)
        stats = lab.state.stats.of("any", frozenset())
        stats.fcfs.waits[1].add(100.0)
        for _ in range(50):
            stats.waits[1].add(ours)
        lab.add(0, priority=5, app="busy")
        overtaken = lab.add(1, priority=5, app="other")
        for number in range(2, 10):
            lab.add(number, priority=5, app="busy")
            lab.step()
        assert any(job is overtaken for _, job in lab.starts) == leaves


@pytest.mark.parametrize(("first", "then"), [(2, 5), (4, 7), (8, 10), (1, 3)])
def test_where_installs_cost_next_to_nothing_whatever_is_more_urgent_goes_first(
    first: int, then: int
) -> None:
    """Also where slots work on both builds: with installs that cost something they would go on with theirs."""
    lab = SimulatedLab(3, install_s=0.2)
    for number in range(40):
        lab.add(number, priority=first, app="old")
    lab.step()
    for number in range(40, 55):
        lab.add(number, priority=then, app="new")
    came = len(lab.starts)
    while lab.ends:
        lab.step()
    assert [one.priority for _, one in lab.starts[came:]] == 15 * [then] + (40 - came) * [first]


def test_without_a_usual_wait_each_urgent_job_gets_a_slot() -> None:
    lab = SimulatedLab(6)
    for number in range(5):
        lab.add(number, priority=9, app="new")
    assert len(lab.builds) == 5


def test_urgent_work_leaves_slots_to_others_while_a_better_one_may_come() -> None:
    lab = SimulatedLab(20)
    usually_waits(lab, 130.0)
    for number in range(20):
        lab.add(number, priority=2, app=f"old{number}")
        lab.now += 3.0
    for number in range(20, 100):
        lab.add(number, priority=2, app=f"old{number % 20}")
    came = lab.now
    urgent = lab.add(100, priority=9, app="new")
    while urgent.job_id in lab.state.jobs:
        lab.step()
    taken = next(at for at, one in lab.starts if one is urgent)
    assert sum(came < at < taken for at, _ in lab.starts) > 10, "those who were done went on with their build"
    assert taken + INSTALL_S <= came + INSTALL_S + 1.5 * TEST_S, "but it starts in time"


def test_a_slot_whose_build_nobody_waits_for_goes_to_urgent_work_at_once() -> None:
    lab = SimulatedLab(20)
    usually_waits(lab, 130.0)
    for number in range(20):
        lab.add(number, priority=2, app="done" if number == 5 else f"old{number}")
        lab.now += 3.0
    for number in range(20, 120):
        if number % 20 != 5:
            lab.add(number, priority=2, app=f"old{number % 20}")
    done = next(slot for slot, group in lab.builds.items() if group.app_version_id == "done")
    urgent = lab.add(120, priority=9, app="new")
    while urgent.job_id in lab.state.jobs:
        lab.step()
    assert lab.now == 5 * 3.0 + INSTALL_S + TEST_S, "the ones that were done before went on with their builds"
    assert lab.builds[done].app_version_id == "new"


def test_many_urgent_jobs_on_few_slots_take_all_of_them() -> None:
    lab = SimulatedLab(4)
    for number in range(8):
        lab.add(number, priority=2, app="old")
    for number in range(8, 200):
        lab.add(number, priority=9, app="new")
    for _ in range(4):
        lab.step()
    assert {group.app_version_id for group in lab.builds.values()} == {"new"}


@pytest.mark.parametrize("order", [("rare", "common"), ("common", "rare")])
def test_a_rare_slot_is_not_spent_on_work_that_a_common_one_can_do(order: tuple[str, ...]) -> None:
    world = World()
    for name in order:
        labels = ("android-14",) if name == "rare" else ()
        world.apply_event(
            JobArrived(job(order.index(name), app=name, labels=labels, at=float(order.index(name))))
        )
    world.labels = {"a/rare": frozenset({"android-14"}), "a/common": frozenset()}
    for slot in world.labels:
        world.apply_event(world.seen(slot))
    world.feed(Tick())
    assert {slot: group.app_version_id for slot, group in world.bound.items()} == {
        "a/rare": "rare",
        "a/common": "common",
    }


def test_common_work_leaves_the_rare_slot_free_for_what_may_come() -> None:
    world = World()
    world.add_slot("a/rare", ("android-14",))
    world.feed(JobArrived(job(0, app="rare", labels=("android-14",))))
    world.run_dry()
    world.add_slot("b/common", ())
    world.feed(JobArrived(job(1, app="common")))
    assert world.bound["b/common"].app_version_id == "common", "the rare slot is idle for longer"


def test_a_slot_with_several_apps_goes_on_with_each() -> None:
    world = World()
    world.labels["a/s0"] = frozenset()
    installed = frozenset({("o", "shop"), ("o", "bank")})
    world.feed(SlotSeen("a/s0", frozenset(), True, installed, None, None))
    world.feed(JobArrived(job(0, app="bank")))
    assert [e.because for e in world.log if isinstance(e, Release)] == ["the build is installed there"]


def test_what_the_first_test_took_counts_for_builds_that_nothing_has_happened_to_since() -> None:
    world = World()
    for number in range(20):
        world.feed(JobArrived(job(number, app=f"v{number % 10}")))
    world.add_slot("a/s0", ())
    index, estimates = world.state.index, world.state.estimates
    index.refresh(estimates)
    assert index.pools["any"].work_s == pytest.approx(TEST_PRIOR_S * len(world.state.jobs))
    world.take("a/s0")
    world.finish("a/s0")
    index.refresh(estimates)
    assert index.pools["any"].work_s == pytest.approx(5.0 * len(world.state.jobs))


@pytest.mark.parametrize("known", [False, True])
def test_devices_of_an_idle_lab_do_not_idle_while_a_build_waits(known: bool) -> None:
    """Patience is for busy labs: where nobody else waits, a further install takes nothing from anybody."""
    lab = SimulatedLab(4)
    if known:  # a day on which medium work waited for an hour is over
        for _ in range(3000):
            lab.state.stats.of("any", frozenset()).fcfs.waits[1].add(3600.0)
    for number in range(4):
        lab.add(number, priority=5, app="new")
    assert len(lab.starts) == 4


def test_low_work_gets_a_further_slot_when_its_last_job_would_wait_longer_than_any_usually_does() -> None:
    lab = SimulatedLab(1)
    fcfs = lab.state.stats.of("any", frozenset()).fcfs
    for _ in range(100):
        fcfs.waits[1].add(3600.0)  # its thresholds are for long waits
        fcfs.waits[2].add(1000.0)
    for number in range(14):  # the slot is through with them in another 14 minutes
        old = Job(f"j{number}", GroupKey("any", "o", "old"), "t", 2, -900.0, number, expected_s=TEST_S)
        lab.feed(JobArrived(old))
    for number in range(14, 26):
        lab.add(number, priority=2, app="young")
    lab.feed(SlotSeen("a/s1", frozenset(), True, frozenset(), None, None))
    assert [one.group.app_version_id for _, one in lab.starts] == ["old", "old"]


def test_at_the_end_of_a_backlog_an_older_build_goes_before_a_further_slot_for_a_younger_one() -> None:
    lab = SimulatedLab(1)
    fcfs = lab.state.stats.of("any", frozenset()).fcfs
    for _ in range(100):
        fcfs.waits[1].add(3600.0)  # its thresholds are for long waits
        fcfs.waits[2].add(2000.0)
    for number in range(41):
        lab.add(number, priority=2, app="young")
    for number in (41, 42):
        _waits_since(lab, number, -100.0, app="old")
    for _ in range(22):  # nothing came for longer than all that waits will take
        lab.step()
    assert {one.group.app_version_id for _, one in lab.starts} == {"young"}, "the slot stays on its build"
    lab.feed(SlotSeen("a/s1", frozenset(), True, frozenset(), None, None))
    assert lab.starts[-1][1].group.app_version_id == "old", "young is late, and old will be"


@pytest.mark.parametrize("priority", [9, 5, 2])
def test_a_job_does_not_wait_behind_many_builds_that_its_slot_cannot_run(priority: int) -> None:
    """Their slots are gone; only so many of the first builds are looked at."""
    world = World()
    world.add_slot("a/s0", ("emulator",))
    for number in range(40):
        other = job(number, app=f"v{number}", labels=("device",), priority=priority, at=world.now)
        world.feed(JobArrived(other))
    world.now += 1.0
    world.feed(JobArrived(job(99, app="v", labels=("emulator",), priority=priority, at=world.now)))
    assert list(world.released) == ["j99"]


def test_jobs_with_another_priority_are_no_further_arrivals() -> None:
    """They would look like a rush, in which urgent work gets slots later."""
    lab = SimulatedLab(2)
    for number in range(10):
        lab.add(number, priority=5, app=f"v{number}")
    lab.step()
    measured, waiting = lab.state.stats.by_capability["any"], sorted(lab.state.jobs)
    load, since_s = measured.load(lab.now, TEST_S), measured.since_arrival_s(lab.now)
    for priority in (9, 2, 5):
        for job_id in waiting:
            lab.feed(JobReprioritised(job_id, priority))
    assert measured.load(lab.now, TEST_S) == load
    assert measured.since_arrival_s(lab.now) == since_s


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
