"""The placement core over random labs and histories."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qgjob.domain.placement.core import decide
from qgjob.domain.placement.events import Bind, Effect, Event, Expire, JobArrived, Release, RulesChanged, Tick
from qgjob.domain.placement.index import Index
from qgjob.domain.placement.model import AWAIT_REPORT_S, GroupKey, Job, LabState
from qgjob.domain.placement.organisations import Organisations
from qgjob.domain.placement.rules import Rules
from tests.support.examples import examples
from tests.support.placement import LABELS, History, NewJob, World, histories, job, play


@settings(max_examples=examples(150))
@given(histories)
def test_every_job_ends_exactly_once_whatever_happens(history: History) -> None:
    world, cancelled = play(history)
    world.add_slot("last", LABELS)
    for name in sorted(world.labels):
        world.report(name)
    world.now += AWAIT_REPORT_S
    world.run_dry()
    arrived = {f"j{n}" for n, step in enumerate(history) if isinstance(step, NewJob)}
    assert sorted(world.ended) == sorted(arrived - cancelled)
    assert not world.state.jobs
    assert not world.state.in_flight
    assert all(not slot.assigned for slot in world.state.slots.values())
    assert sum(world.state.depths) == 0
    for queue in world.state.stats.shadow.queues.values():
        assert not queue.begun
        assert all(job in queue.jobs[job.level] or job in queue.aside for job in queue.ran_s)


@settings(max_examples=examples(60))
@given(histories)
def test_equal_histories_give_equal_decisions(history: History) -> None:
    one, _ = play(history)
    other, _ = play(history)
    assert [repr(effect) for effect in one.log if isinstance(effect, Bind)] == [
        repr(effect) for effect in other.log if isinstance(effect, Bind)
    ]
    assert [e.job.job_id for e in one.log if isinstance(e, Release)] == [
        e.job.job_id for e in other.log if isinstance(e, Release)
    ]


def test_decisions_are_the_same_in_every_process() -> None:
    """Another leader that reads the same events must decide the same: sets have another order there."""

    def decided(seed: str) -> str:
        command = [sys.executable, "-m", "tests.support.decided"]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor() as threads:
        one, other = threads.map(decided, ("1", "2"))
    assert one.count("Release(") > 50
    assert one == other


def assert_indexed(state: LabState) -> None:
    """The index says the same as one made anew of all groups, and as a plain count."""
    state.index.refresh(state.estimates)
    fresh, orgs = Index(), state.index.orgs
    fresh.orgs.set_weights(state.rules.weights)
    for slot in state.slots.values():
        if slot.works_on is not None:
            fresh.orgs.count_slot(slot.works_on.key.org_id, 1)
    for group in state.groups.values():
        fresh.changed[group.number] = group
    fresh.refresh(state.estimates)
    assert set(state.index.pools) == set(fresh.pools)
    for name, pool in fresh.pools.items():
        incremental = state.index.pools[name]
        assert incremental.waiting == pool.waiting
        assert incremental.by_age.ranked == pool.by_age.ranked
        for level in range(3):
            assert incremental.by_priority[level].ranked == pool.by_priority[level].ranked
            by_org, in_order = incremental.by_org[level], list(pool.by_priority[level])
            assert list(by_org.of(orgs.waiting)) == in_order
            firsts = {group.key.org_id: group for group in reversed(in_order)}
            without = {group.number for org, group in firsts.items() if org not in orgs.slots}
            assert {group.number for group in by_org.without_slot} == without
            assert set(incremental.by_work[level]) == set(pool.by_work[level])
        assert set(incremental.losses.by_group) == set(pool.losses.by_group)
    state.index.changed.update({group.number: group for group in state.groups.values()})
    state.index.refresh(state.estimates)  # what an unknown test is expected to take may have changed since
    for name, pool in fresh.pools.items():
        assert state.index.pools[name].work_s == pytest.approx(pool.work_s, abs=1e-6)
        kept = state.index.pools[name].losses
        for number, (loss_s, slots) in kept.by_group.items():
            assert (pytest.approx(loss_s), slots) == pool.losses.by_group[number]
            assert kept.slots_from(loss_s) == sum(
                n for other_s, n in kept.by_group.values() if other_s >= loss_s
            )
    assert_orgs_counted(orgs, fresh.orgs)
    assert {b: set(g) for b, g in state.index.builds.items()} == {b: set(g) for b, g in fresh.builds.items()}
    for group in state.groups.values():
        jobs = list(group.jobs())
        assert group.levels == [sum(j.level == level for j in jobs) for level in range(3)]
        known = sum(j.expected_s for j in jobs if j.expected_s is not None)
        unknown = sum(j.expected_s is None for j in jobs)
        assert group.work_s(7.0) == pytest.approx(known + 7.0 * unknown)
        working = [slot for slot in state.slots.values() if slot.works_on is group]
        assert group.busy == len(working)
        assert group.ends_s == pytest.approx(sum(slot.free_at for slot in working), abs=1e-3)
        end = group.expected_end(0.0, 7.0)
        assert (end is None) == (not group.slots)
        if end is not None:
            left = group.work_s(7.0) + group.running_s(0.0)
            assert end * len(group.slots) == pytest.approx(left)
        if jobs:
            assert group.oldest() is min(jobs)
            assert group.head() is min(jobs, key=lambda j: (-j.priority, j.arrived_at, j.order))


def assert_orgs_counted(orgs: Organisations, fresh: Organisations) -> None:
    """The sums say the same as those of a fresh count, and as plain ones."""
    assert (orgs.waiting, orgs.by_capability) == (fresh.waiting, fresh.by_capability)
    assert (orgs.slots, orgs.weighted) == (fresh.slots, fresh.weighted)
    assert orgs.total_weight == sum(orgs.weight(org) for org in {*orgs.waiting, *orgs.slots})
    assert orgs.all_waiting == sum(orgs.waiting.values())
    assert orgs.with_several == sum(slots > 1 for slots in orgs.slots.values())
    if orgs.waiting:
        assert orgs.with_most_waiting() == max(orgs.waiting, key=lambda org: (orgs.waiting[org], org))
    for most in (0.5, 1.0, 2.5):
        fewer = {org for org, slots in orgs.slots.items() if slots < most * orgs.weight(org)}
        assert set(orgs.with_fewer_slots(most)) == fewer


class Checked(World):
    def feed(self, event: Event) -> None:
        super().feed(event)
        assert_indexed(self.state)


@settings(max_examples=examples(60))
@given(histories, st.dictionaries(st.sampled_from("opq"), st.sampled_from([0.25, 3.0])))
def test_the_indices_are_right_whatever_happens(history: History, weights: dict[str, float]) -> None:
    world = Checked()
    world.feed(RulesChanged(Rules(weights=weights)))
    for number, step in enumerate(history):
        world.now += 0.5
        if isinstance(step, NewJob):
            world.feed(
                JobArrived(
                    job(number, app=step.app, org=step.org, labels=step.labels, priority=step.priority)
                )
            )
            continue
        name = f"a/s{step.number}"
        match step.kind:
            case "slot" if name not in world.labels:
                world.add_slot(name, ("emulator", "device", "android-14")[: 1 + step.number % 3])
            case "take":
                world.take(name)
            case "finish":
                world.finish(name)
            case "lose" if name in world.labels:
                world.lose(name)
            case "tick":
                world.feed(Tick())
            case _:
                pass


@given(
    st.lists(st.tuples(st.floats(0.05, 900.0), st.booleans(), st.integers(1, 10)), min_size=1, max_size=60),
    st.lists(st.integers(0, 10_000), max_size=60),
)
def test_the_shortest_and_the_longest_are_found_to_a_fifth(
    new: list[tuple[float, bool, int]], removals: list[int]
) -> None:
    state = LabState()
    key = GroupKey("any", "o", "v1")
    group = state.group(key)
    waiting: list[Job] = []
    for number, (seconds, known, priority) in enumerate(new):
        one = Job(f"j{number}", key, "t", priority, float(number), number)
        one.expected_s = seconds if known else None
        group.push(one)
        waiting.append(one)
    for removal in removals:
        if len(waiting) > 1:
            group.remove(waiting.pop(removal % len(waiting)))
    queue = group.top_queue()
    assert queue is not None
    top = max(j.priority for j in waiting)
    lengths = [j.expected_s or 50.0 for j in waiting if j.priority == top]
    shortest, longest = queue.by_length(50.0, longest=False), queue.by_length(50.0, longest=True)
    assert shortest in waiting
    assert longest in waiting
    assert (shortest.expected_s or 50.0) <= min(lengths) * 1.2
    assert (longest.expected_s or 50.0) >= max(lengths) / 1.2


def as_tuple(effect: Bind | Release | Expire) -> tuple[Any, ...]:
    match effect:
        case Bind():
            return (effect.slot, effect.group)
        case Release():
            return (effect.job.job_id, effect.slot, effect.because)
        case Expire():
            return (effect.job.job_id,)


@dataclass
class Recorder(World):
    """Remembers every event, and a copy of the state at one moment."""

    events: list[tuple[Event, float]] = field(default_factory=list[tuple[Event, float]])
    crash_at: int = -1
    copied: tuple[LabState, int] | None = None

    def feed(self, event: Event) -> None:
        if len(self.events) == self.crash_at:
            self.copied = copy.deepcopy(self.state), len(self.log)
        self.events.append((copy.deepcopy(event), self.now))
        super().feed(event)


@settings(max_examples=examples(40))
@given(histories, st.integers(0, 100))
def test_replayed_from_any_crash_point_the_state_decides_the_same(history: History, crash_at: int) -> None:
    history = [step for step in history if isinstance(step, NewJob) or step.kind != "depose"]
    world = Recorder()
    world.crash_at = crash_at
    play(history, world)
    if world.copied is None:
        return
    state, before = world.copied
    log: list[Any] = []
    for event, now in world.events[crash_at:]:
        _, effects = decide(state, event, now)
        log.extend(effects)
    assert [as_tuple(e) for e in log] == [as_tuple(e) for e in cast("list[Effect]", world.log[before:])]
    assert snapshot(state) == snapshot(world.state)


def snapshot(state: LabState) -> Any:
    return (
        {key: (g.levels, g.in_flight, g.busy, g.ends_s, sorted(g.slots)) for key, g in state.groups.items()},
        {name: (s.bound, sorted(s.assigned), s.free_at, s.installed) for name, s in state.slots.items()},
        sorted(state.jobs),
        {i: (r.slot, r.started, r.ends_at) for i, r in state.in_flight.items()},
        state.stats.aged_credit,
        list(state.free),
    )
