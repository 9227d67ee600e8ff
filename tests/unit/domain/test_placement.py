"""What the placement core decides, rule by rule."""

from __future__ import annotations

from collections import Counter

import pytest

from qgjob.domain.placement.events import (
    Bind,
    JobArrived,
    JobReprioritised,
    JobWasReleased,
    JobWithdrawn,
    Release,
    SlotSeen,
    Tick,
)
from qgjob.domain.placement.model import GroupKey
from tests.support.placement import LABELS, World, job, released


def test_the_most_urgent_goes_first_whenever_it_came() -> None:
    world = World()
    for number, priority in enumerate([2, 5, 9, 10]):
        world.feed(JobArrived(job(number, priority=priority, app=f"v{number}")))
    world.add_slot("a/s0", ())
    world.run_dry()
    assert released(world) == ["j3", "j2", "j1", "j0"]


def test_the_installed_build_is_preferred_to_the_longer_wait() -> None:
    world = World()
    world.add_slot("a/s0", ())
    world.feed(JobArrived(job(0, app="v1")))
    world.take("a/s0")
    world.feed(JobArrived(job(1, app="v2", at=1.0)))
    world.feed(JobArrived(job(2, app="v1", at=2.0)))
    world.finish("a/s0")
    world.run_dry()
    assert released(world) == ["j0", "j2", "j1"]


def test_the_longest_waiting_goes_first_among_equals() -> None:
    world = World()
    for number in (2, 0, 1):
        world.feed(JobArrived(job(number, app=f"v{number}", at=float(number))))
    world.add_slot("a/s0", ())
    world.run_dry()
    assert released(world) == ["j0", "j1", "j2"]


def test_a_build_that_is_worked_on_gets_another_slot_only_for_enough_work() -> None:
    world = World()
    for name in ("a/s0", "a/s1"):
        world.add_slot(name, ())
    for number in range(40):
        world.feed(JobArrived(job(number)))
        world.take("a/s0")
        world.finish("a/s0")
    world.run_dry()
    assert set(world.bound) == {"a/s0"} or len({e.slot for e in world.log if isinstance(e, Bind)}) <= 2


def test_builds_that_wait_together_share_the_slots() -> None:
    world = World()
    for number in range(30):
        world.feed(JobArrived(job(number, app=f"v{number % 3}", at=float(number))))
    for name in ("a/s0", "a/s1", "a/s2", "a/s3"):
        world.add_slot(name, ())
    builds = Counter(group.app_version_id for group in world.bound.values())
    assert builds == {"v0": 2, "v1": 1, "v2": 1}, "no build has a second slot before each has one"


def test_an_urgent_job_overtakes_what_is_not_released() -> None:
    world = World()
    world.add_slot("a/s0", ())
    for number in range(5):
        world.feed(JobArrived(job(number, at=float(number))))
    world.feed(JobArrived(job(9, priority=10, app="v9")))
    world.run_dry()
    assert released(world)[:2] == ["j0", "j9"]


def test_a_retry_avoids_the_slot_that_failed_it_if_another_will_do() -> None:
    world = World()
    world.add_slot("a/s0", ())
    world.feed(JobArrived(job(0, attempt=2, avoid=("a/s0",))))
    assert released(world) == ["j0"], "the only slot there is must do"
    world = World()
    world.add_slot("a/s0", ())
    world.add_slot("a/s1", ())
    world.feed(JobArrived(job(0, attempt=2, avoid=("a/s0",))))
    assert [e.slot for e in world.log if isinstance(e, Release)] == ["a/s1"]


def test_short_jobs_are_released_ahead_and_long_ones_are_not() -> None:
    world = World()
    world.add_slot("a/s0", ())
    world.state.estimates.add_run(GroupKey("any", "o", "v1"), "t", 0.01)
    world.state.estimates.add_run(GroupKey("any", "o", "v2"), "t", 60.0)
    for number in range(50):
        world.feed(JobArrived(job(number, app="v1")))
    assert len(world.released) == 20
    world = World()
    world.add_slot("a/s0", ())
    for number in range(50):
        world.feed(JobArrived(job(number, app="v2")))
    assert len(world.released) == 1


def test_what_was_released_behind_a_test_that_hangs_is_for_others() -> None:
    world = World()
    world.add_slot("a/s0", ())
    world.state.estimates.add_run(GroupKey("any", "o", "v1"), "t", 0.01)
    for number in range(4):
        world.feed(JobArrived(job(number)))
    world.take("a/s0")
    assert len(world.released) == 3
    world.add_slot("a/s1", ())
    assert "a/s1" not in world.bound
    world.now += 60.0
    world.feed(Tick())
    assert "a/s1" in world.bound
    for number in range(4, 8):
        world.feed(JobArrived(job(number)))
    assert {e.slot for e in world.log if isinstance(e, Release) and e.job.order >= 4} == {"a/s1"}
    for _ in range(7):
        world.take("a/s1")
        world.finish("a/s1")
    assert len(world.ended) == 7
    world.finish("a/s0")
    assert len(world.ended) == 8


def test_what_an_earlier_reign_released_is_not_released_again() -> None:
    world = World()
    waiting = job(0)
    world.released["j0"] = waiting
    world.feed(JobWasReleased(waiting, None))
    world.add_slot("a/s0", ())
    assert world.bound == {"a/s0": waiting.group}
    assert not released(world)
    world.run_dry()
    assert world.ended == ["j0"]


def test_a_later_attempt_replaces_what_was_known_of_an_earlier_one() -> None:
    world = World()
    world.add_slot("a/s0", ())
    world.feed(JobArrived(job(0)))
    world.take("a/s0")
    world.running.clear()
    world.feed(JobArrived(job(0, attempt=2)))
    world.run_dry()
    assert world.ended == ["j0"]
    assert not world.state.in_flight


def test_a_job_that_waits_too_long_expires() -> None:
    world = World()
    late = job(0)
    late.expires_at = 1010.0
    world.feed(JobArrived(late))
    world.now = 1011.0
    world.feed(Tick())
    assert world.expired == ["j0"]
    assert not world.state.jobs


def test_a_delayed_job_waits_for_its_time() -> None:
    world = World()
    world.add_slot("a/s0", ())
    later = job(0)
    later.not_before = 1010.0
    world.feed(JobArrived(later))
    assert not released(world)
    world.now = 1010.0
    world.feed(Tick())
    assert released(world) == ["j0"]


@pytest.mark.parametrize("labels", [("android-14",), ("emulator", "device")])
def test_no_slot_no_release(labels: tuple[str, ...]) -> None:
    world = World()
    world.add_slot("a/s0", ("emulator",))
    world.feed(JobArrived(job(0, labels=labels)))
    assert not released(world)
    world.add_slot("a/s1", LABELS)
    assert released(world) == ["j0"]


def test_what_a_restarted_agent_held_is_taken_over() -> None:
    """Its slots report themselves anew before anybody noticed that they were gone."""
    world = World()
    world.add_slot("a/s0", ())
    world.feed(JobArrived(job(0)))
    world.take("a/s0")
    world.running.clear()
    world.released["j0"] = job(0)
    world.bound.clear()
    world.feed(SlotSeen("a/s0", frozenset(), True, frozenset(), None, None, instance="second"))
    assert world.bound == {"a/s0": job(0).group}, "nobody was bound to take it over"
    world.run_dry()
    assert world.ended == ["j0"]


def test_after_a_recovery_a_slot_that_is_idle_does_not_hold_what_its_chain_says() -> None:
    world = World()
    held = job(0)
    world.released["j0"] = held
    world.feed(JobWasReleased(held, "a/s0"))
    world.add_slot("a/s0", ())
    assert world.bound == {"a/s0": held.group}
    world.run_dry()
    assert world.ended == ["j0"]


def test_after_a_recovery_a_slot_that_keeps_silent_is_not_waited_for_for_ever() -> None:
    world = World()
    held = job(0)
    world.released["j0"] = held
    world.feed(JobWasReleased(held, "gone/s0"))
    world.add_slot("a/s0", ())
    assert not world.bound, "the slot that is said to hold it may still say so"
    world.now += 10.0
    world.feed(Tick())
    assert world.bound == {"a/s0": held.group}
    world.run_dry()
    assert world.ended == ["j0"]


def test_a_slot_that_runs_an_earlier_attempt_does_not_hold_the_later_one() -> None:
    world = World()
    for name in ("a/s0", "a/s1"):
        world.add_slot(name, ())
    world.feed(JobArrived(job(0, attempt=2)))
    meant = next(iter(world.bound))
    other = "a/s1" if meant == "a/s0" else "a/s0"
    world.feed(world.seen(other)._replace(job_id="j0", attempt=1))
    assert set(world.state.slots[meant].assigned) == {"j0"}


def test_jobs_that_have_ended_are_not_kept_until_they_would_have_expired() -> None:
    world = World()
    world.add_slot("a/s0", ())
    for number in range(500):
        done = job(number)
        done.expires_at = world.now + 1e6
        world.feed(JobArrived(done))
        world.take("a/s0")
        world.finish("a/s0")
    assert len(world.state.expiring) < 100


def test_jobs_for_later_that_were_cancelled_or_changed_are_not_kept_until_their_time() -> None:
    world = World()
    for number in range(500):
        later = job(number)
        later.not_before = world.now + 1e6
        world.feed(JobArrived(later))
        for priority in (9, 2):
            world.feed(JobReprioritised(later.job_id, priority))
        if number:
            world.feed(JobWithdrawn(later.job_id))
    assert len(world.state.delayed) < 100
    assert [one.job_id for *_, one in world.state.delayed if not one.gone] == ["j0"]


def test_tests_that_take_no_time_are_placed() -> None:
    world = World()
    world.state.estimates.any_test.add(0.0)
    world.add_slot("a/s0", ())
    for number in range(2):
        world.feed(JobArrived(job(number)))
    world.run_dry()
    assert released(world) == ["j0", "j1"]
