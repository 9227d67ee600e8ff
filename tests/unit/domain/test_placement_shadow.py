"""The shadow: what first come, first served would have made of the same jobs, and still will."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgjob.domain.placement.events import (
    BuildWithheld,
    JobArrived,
    JobReprioritised,
    JobWithdrawn,
    RulesChanged,
)
from qgjob.domain.placement.fcfs_queue import FcfsQueue, Lengths
from qgjob.domain.placement.model import GroupKey, Job, Withheld
from qgjob.domain.placement.rules import Pause, Rules
from qgjob.domain.placement.shadow import Shadow
from qgjob.domain.placement.stats import CapabilityStats
from qgjob.domain.placement.waits import WINDOW, Waits
from tests.support.placement import job
from tests.support.simulated_lab import TEST_S, SimulatedLab

ANY = frozenset[str]()
ANY_CAPABILITY = job(0).group.capability
INSTALL_S = 20.0
HELD = Withheld("build_held", "it does not start")


def shadow_of(slots: int) -> Shadow:
    """The shadow of a lab of alike slots, at time 0."""
    shadow = Shadow()
    shadow.queue(ANY_CAPABILITY, ANY)
    shadow.resize({ANY: slots}, 0.0)
    return shadow


def arrive(shadow: Shadow, number: int, now: float, *, priority: int = 5, test_s: float = 60.0) -> None:
    """So many jobs arrive at once, each of another build."""
    for one in range(number):
        shadow.on_arrival(job(one, app=f"{now}-{priority}-{one}", priority=priority, at=now), ANY, test_s)


def advance(shadow: Shadow, now: float) -> None:
    """Until now: at most some hundred starts."""
    shadow.advance(now, lambda _org, _build: INSTALL_S)


@pytest.mark.parametrize("adds", [(1, 40), (40,), (33, 129, 3000), (1, 2, 31)])
def test_quantiles_are_of_the_last_waits(adds: tuple[int, ...]) -> None:
    chance, waits, last = random.Random(1), Waits(), list[float]()
    for step in range(200):
        for _ in range(adds[step % len(adds)]):
            last.append(chance.choice((0.0, chance.random(), chance.expovariate(0.1))))
            waits.add(last[-1])
        if adds[step % len(adds)] >= 32:  # fewer may wait to be sorted
            window = sorted(last[-WINDOW:])
            assert len(waits) == len(window)
            for share in (0.0, 0.5, 0.95):
                assert waits.quantile(share) == window[int(share * len(window))]
            assert waits.quantile(1.0) == window[-1]


def test_whoever_stands_in_the_queue_counts_with_the_wait_that_is_to_come() -> None:
    slots, number = 4, 200
    shadow = shadow_of(slots)
    queue = shadow.queue(ANY_CAPABILITY, ANY)
    arrive(shadow, number, 0.0)
    advance(shadow, 0.0)
    for now in (100, 1000, 2000, 3000):
        advance(shadow, now)
        foreseen = queue.usual_wait_s(1, 1.0, now, slots)
        assert foreseen == pytest.approx((number / slots - 1) * 80.0 + INSTALL_S, abs=160.0)
    advance(shadow, 1e6)
    assert queue.usual_wait_s(1, 1.0, 1e6, slots) == pytest.approx(foreseen, abs=160.0)


def test_what_low_jobs_wait_is_known_before_any_of_them_starts() -> None:
    slots, number = 4, 100
    shadow = shadow_of(slots)
    queue = shadow.queue(ANY_CAPABILITY, ANY)
    assert queue.usual_wait_s(2, 1.0, 0.0, slots) is None
    arrive(shadow, number, 0.0)
    arrive(shadow, number, 0.0, priority=2)
    advance(shadow, 0.0)
    foreseen = queue.usual_wait_s(2, 1.0, 0.0, slots)
    assert not queue.waits[2]
    assert foreseen == pytest.approx(2 * number / slots * 80.0, rel=0.1)


def test_urgent_work_ahead_counts_and_less_urgent_work_does_not() -> None:
    waits: list[float] = []
    for priority in (9, 5, 2):
        shadow = shadow_of(2)
        arrive(shadow, 2, 0.0)
        advance(shadow, 0.0)
        arrive(shadow, 10, 1.0)
        arrive(shadow, 40, 1.0, priority=priority)
        waits.append(shadow.queue(ANY_CAPABILITY, ANY).usual_wait_s(1, 1.0, 1.0, 2) or 0.0)
    ahead, behind_each_other, none = waits
    assert none < behind_each_other
    assert ahead == pytest.approx(behind_each_other)


def after_medium_jobs(jobs: int) -> tuple[SimulatedLab, CapabilityStats, float]:
    """A lab that has run so many jobs of five builds, its statistics, and the usual wait of such jobs."""
    lab = SimulatedLab(4)
    for number in range(jobs):
        lab.add(number, priority=5, app=f"v{number % 5}")
    while lab.ends:
        lab.step()
    stats = lab.state.stats.of("any", frozenset())
    return lab, stats, stats.usual_wait_s(1, 0.95, lab.now) or 0.0


def test_who_was_cancelled_waits_under_fcfs_no_longer() -> None:
    """The waits of a flood that was submitted by mistake would be usual for hours, and nothing ever due."""
    lab, stats, before_s = after_medium_jobs(40)
    for number in range(100, 2100):
        lab.add(number, priority=5, app=f"v{number % 5}")
    for job_id in list(lab.state.jobs)[::2]:
        lab.feed(JobReprioritised(job_id, 2))
    for job_id in list(lab.state.jobs):
        lab.feed(JobWithdrawn(job_id))
    assert sum(map(len, stats.fcfs.jobs)) <= 8, "those that slots have taken"
    assert stats.fcfs.work_s == [TEST_S * len(queue) for queue in stats.fcfs.jobs]
    assert (stats.usual_wait_s(1, 0.95, lab.now) or 0.0) <= before_s


@pytest.mark.parametrize("held", [RulesChanged(Rules(pauses=(Pause("p"),))), BuildWithheld(("p", "x"), HELD)])
def test_who_may_not_start_keeps_nobody_waiting_under_fcfs(held: RulesChanged | BuildWithheld) -> None:
    """As what was cancelled: medium work would wait behind low work for as long as a large run is paused."""
    lab, stats, before_s = after_medium_jobs(80)
    lab.feed(held)
    for number in range(100, 1100):
        lab.add(number, priority=5, app="x", org="p")
    for number in range(1100, 1180):
        lab.add(number, priority=2, app=f"v{number % 5}")
    for _ in range(40):
        lab.step()
    assert (stats.usual_wait_s(1, 0.95, lab.now) or 0.0) <= before_s
    for job_id in list(lab.state.jobs)[:10]:
        lab.feed(JobWithdrawn(job_id))
    lab.feed(RulesChanged(Rules()) if isinstance(held, RulesChanged) else held._replace(why=None))
    lab.step()
    assert not stats.fcfs.aside
    assert 980 <= len(stats.fcfs.jobs[1]) <= 990
    assert stats.fcfs.work_s[1] == TEST_S * len(stats.fcfs.jobs[1])
    assert (stats.usual_wait_s(1, 0.95, lab.now) or 0.0) > 10 * before_s


@pytest.mark.parametrize("max_parallel", [None, 1])
def test_what_a_limit_keeps_back_keeps_nobody_waiting_under_fcfs(max_parallel: int | None) -> None:
    lab, stats, before_s = after_medium_jobs(80)
    if max_parallel is None:
        lab.feed(RulesChanged(Rules(limits={"p": 1})))
    key = GroupKey("any", "p", "x")
    for number in range(100, 1100):
        lab.feed(JobArrived(Job(f"j{number}", key, "t", 5, lab.now, number, max_parallel=max_parallel)))
    for number in range(1100, 1300):
        lab.add(number, priority=2, app=f"v{number % 5}")
    waits: list[float] = []
    for number in range(2000, 2010):
        came = lab.now
        lab.add(number, priority=5, app="late")
        while not any(one.job_id == f"j{number}" for _, one in lab.starts):
            lab.step()
        waits.append(lab.now - came)
    assert max(waits) <= 2 * before_s
    assert (stats.usual_wait_s(1, 0.95, lab.now) or 0.0) <= 2 * before_s


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, 500), st.integers(1, 20), st.sampled_from((2, 5, 9))), max_size=12),
    st.floats(0, 1.0),
)
def test_usual_is_at_least_what_was_waited_and_what_is_waited(
    slots: int, arrivals: list[tuple[float, int, int]], quantile: float
) -> None:
    shadow = shadow_of(slots)
    queue = shadow.queue(ANY_CAPABILITY, ANY)
    for at, number, priority in sorted(arrivals):
        advance(shadow, at)
        arrive(shadow, number, at, priority=priority)
        for level in range(3):
            usual_s, known_s = (
                queue.usual_wait_s(level, quantile, at, slots),
                queue.waits[level].quantile(quantile),
            )
            waited = [at - one.arrived_at for one in queue.jobs[level]]
            assert (usual_s is None) == (known_s is None and not waited)
            if usual_s is not None:
                assert usual_s >= max([known_s or 0.0, *waited]) - 1e-6
    for level in range(3):
        assert queue.work_s[level] == pytest.approx(60.0 * len(queue.jobs[level]))


@pytest.mark.parametrize("priority", [5, 2])
@pytest.mark.parametrize("slots", [2, 4])
def test_a_lone_job_does_not_wait_for_hours_because_tests_were_expected_to_take_ten_times_as_long(
    slots: int, priority: int
) -> None:
    """Under FCFS as it was believed in each waited behind a queue that was not there."""
    lab, number, lone = SimulatedLab(slots), 0, None
    while lone is None or lone.job_id in lab.state.jobs:
        waiting = len(lab.state.jobs) - (lone is not None)
        while waiting < slots:  # for one build more keeps coming than its slots can do
            one = Job(f"j{number}", GroupKey("any", "o", "v"), f"t{number}", priority, lab.now, number)
            one.expected_s = 10 * TEST_S
            lab.feed(JobArrived(one))
            number, waiting = number + 1, len(lab.state.jobs) - (lone is not None)
        if lone is None and lab.now >= 30 * TEST_S:
            lone = Job("lone", GroupKey("any", "o", "w"), "t", priority, lab.now, 10**6)
            lone.expected_s = 10 * TEST_S
            lab.feed(JobArrived(lone))
        lab.step()
        assert lone is None or lab.now - lone.arrived_at <= 15 * TEST_S


@pytest.mark.parametrize("times", [0.4, 0.5, 0.6, 1.0, 1.8, 2.0, 2.2])
def test_the_shadow_seldom_begins_anew_where_tests_take_about_half_or_twice_what_was_expected(
    times: float,
) -> None:
    """Each time it forgets all waits, of which some tens must be known."""
    chance, lengths, anew = random.Random(1), Lengths(), 0
    for _ in range(5000):
        expected_s = chance.lognormvariate(3.0, 0.7)
        anew += lengths.add(expected_s, times * expected_s * chance.lognormvariate(0.0, 0.3))
    assert anew <= 1


def test_tests_that_take_as_long_as_expected_again_are_not_misjudged_any_more() -> None:
    lengths = Lengths()
    assert [lengths.add(60.0, 6.0) for _ in range(20)].count(True) == 1
    assert lengths.real_s(60.0) == pytest.approx(6.0)
    assert [lengths.add(60.0, 60.0) for _ in range(200)].count(True) == 1
    assert lengths.real_s(60.0) == pytest.approx(60.0)


@pytest.mark.parametrize("ends_after_s", [0.0, 200.0, 2000.0])
def test_fcfs_waits_are_those_of_the_tests_as_long_as_they_were(ends_after_s: float) -> None:
    """Whether they end in the lab before FCFS would start them or after it would have ended them.

    With a load of 0.95 instead of 0.9 jobs wait twice as long: a few per cent of the estimates decide.
    """
    slots, load, too_long, chance = 4, 0.92, 1.08, random.Random(1)
    shadow, truth = shadow_of(slots), shadow_of(slots)
    queue = shadow.queue(ANY_CAPABILITY, ANY)
    now, ends = 0.0, deque[tuple[float, Job, float]]()
    for number in range(4000):
        now += chance.expovariate(load * slots / 60.0)
        one, ran_s = job(number, app="same", at=now), 60.0 * chance.lognormvariate(0.0, 0.5)
        expected_s = too_long * ran_s * chance.lognormvariate(0.0, 0.3)
        while ends and ends[0][0] <= now:
            queue.end(*ends.popleft()[1:])
        for of, takes_s in ((shadow, expected_s), (truth, ran_s)):
            advance(of, now)
            of.on_arrival(one, ANY, takes_s)
        ends.append((now + ends_after_s, one, ran_s))
    waits, true_waits = (of.queues[ANY_CAPABILITY].waits[1].quantile(0.95) for of in (shadow, truth))
    assert waits == pytest.approx(true_waits, rel=0.1)


@given(st.lists(st.tuples(st.floats(1, 500), st.floats(0, 1000), st.booleans()), min_size=1, max_size=40))
def test_under_fcfs_tests_take_as_long_altogether_as_they_did(
    tests: list[tuple[float, float, bool]],
) -> None:
    """While there is a queue: what a test was given too much or too little the next ones make up for."""
    queue = FcfsQueue(ANY)
    given_s = 0.0
    for number, (expected_s, ran_s, ends_before) in enumerate(tests):
        one = job(number)
        queue.enqueue(one, expected_s)
        if ends_before:
            queue.end(one, ran_s)
        given_s += queue.start(1, 0.0, 0.0, 0.0)
        if not ends_before:
            queue.end(one, ran_s)
        assert not queue.begun
        assert not queue.ran_s
    assert given_s + queue.owed_s == pytest.approx(sum(ran_s for _, ran_s, _ in tests))
