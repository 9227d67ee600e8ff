"""The server serves so many groups at once: the others wait, whatever happens, and none is forgotten."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qgjob.domain.placement import blocking
from qgjob.domain.placement.core import apply_event
from qgjob.domain.placement.events import (
    Effect,
    Event,
    GroupsLimited,
    GroupsUnbound,
    JobArrived,
    JobWithdrawn,
    Release,
    SlotWithheld,
    Tick,
)
from qgjob.domain.placement.explain import explain
from qgjob.domain.placement.model import AWAIT_REPORT_S, GroupKey, Withheld
from tests.support.examples import examples
from tests.support.placement import LABELS, World, assert_consistent, job, long_lists

Kind = Literal[
    "slot",
    "job",
    "take",
    "finish",
    "lose",
    "limit",
    "refuse",
    "lift",
    "let_go",
    "cancel",
    "depose",
    "tick",
    "seen",
]


class Step(NamedTuple):
    kind: Kind
    number: int


steps = long_lists(st.builds(Step, st.sampled_from(get_args(Kind)), st.integers(0, 5)), 100)


class Limited(World):
    """Plays a server with room for so many groups, and notes when one is begun beyond the limit."""

    def feed(self, event: Event) -> None:
        before, began = len(self.log), len(self.state.groups_in_flight)
        super().feed(event)
        most = self.state.max_groups
        if most is not None and any(isinstance(effect, Release) for effect in self.log[before:]):
            assert len(self.state.groups_in_flight) <= max(most, began)
        if isinstance(event, Tick) and self.state.refused and len(self.state.groups_in_flight) <= (most or 0):
            self.feed(GroupsLimited(most))  # there is room for those that were refused

    def take(self, name: str) -> None:
        if self.bound.get(name) not in self.state.refused:
            super().take(name)

    def refuse(self, most: int) -> None:
        """Find room for the first few groups that are out, and none for the last."""
        begun = {job.group for _, job in self.running.values()}
        late = [key for key in self.state.groups_in_flight if key not in begun][most:]
        self.feed(GroupsLimited(most, frozenset(late)))


def play(history: list[Step]) -> Limited:
    world = Limited()
    for number, (kind, which) in enumerate(history):
        world.now += 0.5
        name = f"a/s{which}"
        match kind:
            case "job":
                world.feed(JobArrived(job(number, app=f"v{which}", at=world.now, priority=1 + number % 10)))
            case "slot" if name not in world.labels:
                world.add_slot(name, LABELS)
            case "limit":
                world.feed(GroupsLimited(1 + which))
            case "refuse":
                world.refuse(1 + which)
            case "lift":
                world.feed(GroupsLimited(None))
            case "let_go":
                gone = tuple(key for key, group in world.state.groups.items() if not group.in_flight)
                world.feed(GroupsUnbound(gone))
                world.bound = {slot: key for slot, key in world.bound.items() if key not in gone}
            case "cancel":
                for job_id in list(world.state.jobs)[which : which + 1]:
                    world.feed(JobWithdrawn(job_id))
                    world.ended.append(job_id)
            case "depose":
                world.depose()
                for slot in sorted(world.labels):
                    world.report(slot)
            case "tick":
                world.feed(Tick())
            case what:
                world.perform(what, name)
    return world


@settings(max_examples=examples(200))
@given(steps)
def test_no_more_groups_than_there_may_be_and_nothing_is_lost(history: list[Step]) -> None:
    world = play(history)
    world.add_slot("last", LABELS)
    for name in sorted(world.labels):
        world.report(name)
    world.now += AWAIT_REPORT_S
    world.run_dry()
    assert sorted(world.ended) == sorted(f"j{n}" for n, step in enumerate(history) if step.kind == "job")
    assert not world.state.in_flight
    assert_consistent(world.state)


def full(slots: int = 3) -> World:
    """Two groups may be out and are, each on a slot; one slot is idle."""
    world = World()
    world.feed(GroupsLimited(2))
    for number in range(slots):
        world.add_slot(f"a/s{number}", LABELS)
    for number in range(2):
        world.feed(JobArrived(job(number, app=f"v{number}", at=world.now)))
    return world


def test_a_third_group_waits_and_says_why_while_more_of_the_others_goes_on() -> None:
    world = full()
    world.feed(JobArrived(job(2, app="v2")))
    world.feed(JobArrived(job(3, app="v1")))
    assert "j2" in world.state.jobs
    assert "j3" in world.state.in_flight, "a group that is there goes on, on the idle slot"
    answer = explain(world.state, "j2", world.now)
    assert answer is not None
    assert [gate.kind for gate in answer.gates] == ["no_room"]
    assert "2 groups" in answer.summary
    assert any("max_consumers" in change for change in answer.changes)
    world.take("a/s0")
    world.finish("a/s0")
    world.feed(Tick())
    assert "j2" in world.state.in_flight, "there is room"


def test_urgent_work_of_another_group_gets_the_room_of_one_that_has_work_for_days() -> None:
    world = full(2)
    for number in range(10, 40):
        world.feed(JobArrived(job(number, app=f"v{number % 2}", at=world.now)))
    world.feed(JobArrived(job(99, app="v9", priority=10, at=world.now)))
    world.take("a/s0")
    world.finish("a/s0")
    world.feed(Tick())
    assert "j99" in world.state.in_flight


def test_slots_that_are_let_go_are_bound_anew() -> None:
    world = full(2)
    for name in ("a/s0", "a/s1"):
        world.take(name)
        world.finish(name)
    bound = {slot.bound for slot in world.state.slots.values()}
    assert len(bound) == 2
    world.feed(GroupsUnbound(tuple(key for key in bound if key)))
    assert {slot.bound for slot in world.state.slots.values()} == {None}
    world.bound.clear()
    world.feed(Tick())
    world.feed(JobArrived(job(7, app="v0")))
    world.run_dry()
    assert world.ended[-1] == "j7"


def test_what_was_released_to_a_group_that_the_server_refused_says_so() -> None:
    world = full(2)
    key = GroupKey("any", "o", "v1")
    world.feed(GroupsLimited(1, frozenset({key})))
    answer = explain(world.state, "j1", world.now)
    assert answer is not None
    assert "no room" in answer.summary


def refused(most: int, groups: int, slots: int) -> Limited:
    """Jobs of several groups are out, on a slot each, when it shows that there is room for fewer."""
    world = Limited()
    for number in range(slots):
        world.add_slot(f"a/s{number}", LABELS)
    for number in range(groups):
        world.feed(JobArrived(job(number, app=f"v{number}", at=world.now)))
    world.refuse(most)
    return world


def test_a_slot_whose_group_the_server_refused_goes_on_with_other_work() -> None:
    world = refused(most=2, groups=3, slots=3)
    world.feed(JobArrived(job(10, app="v1", at=world.now)))
    assert world.state.in_flight["j10"].slot == "a/s2", "the slot that j2 was promised to"
    assert world.state.in_flight["j2"].slot is None
    world.run_dry()
    assert sorted(world.ended) == ["j0", "j1", "j10", "j2"]


@pytest.mark.parametrize("most", [1, 2])
def test_a_group_that_the_server_refused_gets_room_although_others_have_work_for_days(most: int) -> None:
    world = refused(most=most, groups=most + 1, slots=4)
    for number in range(10, 200):
        world.feed(JobArrived(job(number, app=f"v{number % most}", at=world.now)))
    ended_by_turns(world, 40)
    assert f"j{most}" in world.ended


def test_a_group_that_waits_for_room_gets_it_although_others_have_work_for_several_slots() -> None:
    world = Limited()
    world.feed(GroupsLimited(2))
    for number in range(4):
        world.add_slot(f"a/s{number}", LABELS)
    for number in range(10, 400):
        world.feed(JobArrived(job(number, app=f"v{number % 2}", at=world.now)))
    world.feed(JobArrived(job(1, app="v9", at=world.now)))
    ended_by_turns(world, 50)
    assert "j1" not in world.ended, "each change may cost an install"
    ended_by_turns(world, 100)
    assert "j1" in world.ended
    world.run_dry()
    assert len(world.ended) == 391


def ended_by_turns(world: World, jobs: int) -> None:
    """Let one slot after the other end a job, two seconds apart: never all of them at once."""
    slots = sorted(world.labels)
    for number in range(jobs):
        for name in slots:
            world.take(name)
        world.now += 2.0
        world.finish(slots[number % len(slots)])
        world.feed(Tick())


def waits_beside(held_by: str) -> Limited:
    """Two groups may be out: an older one that never ends, and one that keeps two slots busy; a third waits."""
    world = Limited()
    world.feed(GroupsLimited(2))
    world.add_slot("a/s9", LABELS if held_by == "its last test" else ("rare",))
    rare = ("rare",) if held_by == "a lost slot" else ()
    world.feed(JobArrived(job(0, app="v0", at=world.now, labels=rare)))
    world.take("a/s9")
    assert "a/s9" in world.running
    if held_by == "a lost slot":
        world.feed(JobArrived(job(1, app="v0", at=world.now, labels=rare)))
        world.lose("a/s9")
    for number in range(2):
        world.add_slot(f"a/s{number}", LABELS)
    for number in range(10, 400):
        world.feed(JobArrived(job(number, app="v1", at=world.now)))
    world.feed(JobArrived(job(2, app="v2", at=world.now)))
    return world


def work_on(world: World, seconds: int) -> None:
    """Let two slots end a job every other second, by turns."""
    for second in range(seconds):
        world.now += 1.0
        world.finish(f"a/s{second % 2}")
        world.feed(Tick())
        for number in range(2):
            world.take(f"a/s{number}")


@pytest.mark.parametrize("held_by", ["its last test", "a lost slot"])
def test_a_group_that_cannot_make_room_does_not_hold_up_the_turns_of_others(held_by: str) -> None:
    world = waits_beside(held_by)
    work_on(world, 150)
    assert "j2" in world.ended


@pytest.mark.parametrize("then", ["it is refused", "its slot is lost", "nothing more of it waits"])
def test_another_group_yields_when_the_one_that_does_cannot_make_room_any_more(then: str) -> None:
    world = full(3)
    for number in range(10, 100):
        world.feed(JobArrived(job(number, app=f"v{number % 2}", at=world.now)))
    world.feed(JobArrived(job(200, app="v9", at=world.now)))
    world.now += 130.0
    world.take("a/s0")
    world.feed(Tick())
    first = GroupKey("any", "o", "v0")
    assert list(world.state.yielding) == [first]
    answer = explain(world.state, "j98", world.now)
    assert answer is not None
    assert "makes room for others" in answer.summary
    match then:
        case "it is refused":
            world.feed(GroupsLimited(2, frozenset({first})))
        case "its slot is lost":
            for name in [slot.name for slot in world.state.slots.values() if slot.bound == first]:
                world.feed(SlotWithheld("a/s2", Withheld("paused", "by hand")))
                world.lose(name)
        case _:
            for waiting in [j for j in world.state.jobs.values() if j.group == first]:
                world.feed(JobWithdrawn(waiting.job_id))
    world.now += 1.0
    world.feed(Tick())
    assert GroupKey("any", "o", "v1") in world.state.yielding


def test_nobody_yields_where_that_would_make_no_room() -> None:
    world = waits_beside("a lost slot")
    world.feed(GroupsLimited(1))
    work_on(world, 150)
    assert not world.state.yielding
    assert len(world.ended) > 140, "the slots went on"


def test_a_group_that_the_server_refused_starts_nothing_more() -> None:
    world = full(2)
    world.feed(JobArrived(job(10, app="v1", at=world.now)))
    key = GroupKey("any", "o", "v1")
    world.feed(GroupsLimited(1, frozenset({key})))
    assert set(world.state.in_flight) == {"j0", "j1"}
    assert {slot.bound for slot in world.state.slots.values()} == {None, GroupKey("any", "o", "v0")}
    answer = explain(world.state, "j10", world.now)
    assert answer is not None
    assert [gate.kind for gate in answer.gates] == ["no_room"]
    world.feed(GroupsLimited(2))
    world.run_dry()
    assert sorted(world.ended) == ["j0", "j1", "j10"]


def test_a_group_that_is_refused_with_nothing_out_is_forgotten() -> None:
    world = full(2)
    world.take("a/s1")
    world.finish("a/s1")
    key = GroupKey("any", "o", "v1")
    assert world.state.groups[key].slots
    world.feed(GroupsLimited(1, frozenset({key})))
    assert key not in world.state.groups


def test_to_see_who_waits_for_room_leaves_the_statistics_as_they_are() -> None:
    world = waits_beside("its last test")
    for number in range(1000, 1300):
        world.feed(JobArrived(job(number, app="v7", at=world.now, labels=(f"l{number}",))))
    world.state.stats.by_capability.pop("any", None)
    before = list(world.state.stats.by_capability)
    world.now += 130.0
    for _ in range(2):
        blocking.rotate(world.state, world.now)
        world.now += 1.0
    assert list(world.state.stats.by_capability) == before
    assert GroupKey("any", "o", "v1") in world.state.yielding


def test_a_group_that_never_has_anything_waiting_yields_too() -> None:
    world = full(2)
    world.feed(JobArrived(job(2, app="v2", at=world.now)))
    for number in range(10, 200):
        app = number % 2
        world.feed(JobArrived(job(number, app=f"v{app}", at=world.now)))
        world.take("a/s0")
        world.take("a/s1")
        world.now += 1.0
        world.finish(f"a/s{app}")
        world.feed(Tick())
    assert "j2" in {*world.ended, *world.state.in_flight}


def test_a_group_whose_test_takes_long_does_not_hold_up_the_turns_of_others() -> None:
    world = waits_beside("its last test")
    for number in range(500, 510):
        world.feed(JobArrived(job(number, app="v0", at=world.now)))
    work_on(world, 300)
    assert "j2" in world.ended


def test_slots_of_groups_that_are_not_served_are_free_in_the_same_order_in_every_process() -> None:
    """A set of groups has another order in each."""
    world = World()
    for number in range(20):
        world.add_slot(f"a/s{number:02}", ())
        world.feed(JobArrived(job(number, app=f"v{number:02}", at=world.now)))
    out = sorted(world.state.groups_in_flight)
    assert len(out) == 20
    effects: list[Effect] = []
    apply_event(world.state, GroupsLimited(20, frozenset(out)), world.now, effects)
    assert list(world.state.free) == sorted(world.state.slots)
