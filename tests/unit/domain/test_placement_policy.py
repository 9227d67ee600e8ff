"""The placement policy on a clock, rule by rule: urgent work, when a slot leaves its build, rare slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgjob.domain.estimates import TEST_PRIOR_S
from qgjob.domain.placement.events import JobArrived, JobReprioritised, Release, SlotSeen, Tick
from qgjob.domain.placement.model import GroupKey, Job
from tests.support.placement import World, job
from tests.support.simulated_lab import INSTALL_S, TEST_S, SimulatedLab, usually_waits


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


def test_a_slot_is_not_waited_for_where_tests_often_overrun() -> None:
    lab = SimulatedLab(2)
    lab.state.estimates.error.value = 0.25
    lab.add(0, priority=5, app="v1")
    lab.now += 70.0
    urgent = lab.add(1, priority=9, app="v1")
    assert urgent.job_id not in lab.state.jobs, "10 s until the slot is free, or 20 s more"


def test_how_far_tests_are_off_is_learned() -> None:
    for off in (1.0, 1.3):
        lab = SimulatedLab(1)
        for number in range(20):
            one = Job(f"j{number}", GroupKey("any", "o", "v"), f"t{number}", 5, lab.now, number)
            one.expected_s = TEST_S / off
            lab.feed(JobArrived(one))
        while lab.ends:
            lab.step()
        assert lab.state.estimates.error.value == pytest.approx(off - 1.0)


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


def test_low_work_that_waits_too_long_does_not_wait_for_the_end_of_its_builds_long_test() -> None:
    lab = SimulatedLab(2)
    lab.state.stats.of("any", frozenset()).fcfs.waits[2].add(100.0)
    long = Job("long", GroupKey("any", "o", "other"), "t", 2, lab.now, 0, expected_s=20 * TEST_S)
    lab.feed(JobArrived(long))
    lab.ends = [(20 * TEST_S, lab.ends[0][1], long)]
    lab.add(1, priority=2, app="busy")
    waits = lab.add(2, priority=2, app="other")
    for number in range(3, 6):
        lab.add(number, priority=2, app="busy")
    for number in range(6, 20):
        lab.add(number, priority=2, app="busy")
        lab.step()
    assert any(job is waits for _, job in lab.starts), "one test is too little for an install, but it is late"


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


def test_a_slot_whose_build_nobody_waits_for_goes_to_urgent_work_at_once() -> None:
    lab = SimulatedLab(20)
    usually_waits(lab, 130.0)
    for number in range(20):
        lab.add(number, priority=2, app=f"old{number}")
        lab.now += 3.0
    for number in range(20, 120):
        if number % 20 not in {5, 8, 11, 14}:
            lab.add(number, priority=2, app=f"old{number % 20}")
    done = next(slot for slot, group in lab.builds.items() if group.app_version_id == "old5")
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
