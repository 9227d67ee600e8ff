"""Slots and builds that nothing is given to: over random histories no job is lost, and nothing leaks to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from qgjob.domain.placement.events import (
    BuildWithheld,
    Event,
    JobArrived,
    Release,
    SlotProbed,
    SlotSeen,
    SlotWithheld,
)
from qgjob.domain.placement.model import AWAIT_REPORT_S, Withheld
from tests.support.examples import examples
from tests.support.placement import LABELS, World, assert_consistent, job, long_lists

PAUSED = Withheld("paused", "paused by ann")
HELD = Withheld("build_held", "it fails everywhere")


@dataclass
class Guarded(World):
    """Notes whatever is released to a slot, or of a build, that is withheld."""

    leaks: list[Release] = field(default_factory=list[Release])

    def feed(self, event: Event) -> None:
        before = len(self.log)
        super().feed(event)
        for effect in self.log[before:]:
            if isinstance(effect, Release):
                withheld = effect.slot in self.state.withheld
                if withheld or effect.job.group[1:] in self.state.held_builds:
                    self.leaks.append(effect)
        for name in self.state.withheld:
            slot = self.state.slots.get(name)
            if slot is not None:
                assert not slot.available
                assert all(released.started for released in slot.assigned.values()), "kept from others"
        for name in self.state.probing & set(self.state.slots):
            slot = self.state.slots[name]
            assert name not in self.state.free or not slot.assigned


Kind = Literal["slot", "job", "take", "finish", "lose", "withhold", "resume", "hold", "free", "probe", "seen"]


class Step(NamedTuple):
    kind: Kind
    number: int


steps = long_lists(st.builds(Step, st.sampled_from(get_args(Kind)), st.integers(0, 5)), 100)


def play(history: list[Step]) -> Guarded:
    world = Guarded()
    for number, (kind, which) in enumerate(history):
        world.now += 0.5
        name, build = f"a/s{which}", ("o", f"v{which % 3}")
        match kind:
            case "job":
                world.feed(JobArrived(job(number, app=build[1], at=world.now)))
            case "slot" if name not in world.labels:
                world.add_slot(name, LABELS)
            case "withhold":
                world.feed(SlotWithheld(name, PAUSED))
            case "resume":
                world.feed(SlotWithheld(name, None))
            case "hold":
                world.feed(BuildWithheld(build, HELD))
            case "free":
                world.feed(BuildWithheld(build, None))
            case "probe":
                world.feed(SlotProbed(name, number % 2 == 0))
            case what:
                world.perform(what, name)
    return world


@settings(max_examples=examples(200))
@given(steps)
def test_nothing_leaks_and_nothing_is_lost(history: list[Step]) -> None:
    world = play(history)
    assert not world.leaks
    for which in range(6):
        world.feed(SlotWithheld(f"a/s{which}", None))
        world.feed(BuildWithheld(("o", f"v{which % 3}"), None))
    world.add_slot("last", LABELS)
    for name in sorted(world.labels):
        world.report(name)
    world.now += AWAIT_REPORT_S
    world.run_dry()
    assert sorted(world.ended) == sorted(f"j{n}" for n, step in enumerate(history) if step.kind == "job")
    assert not world.state.in_flight


def test_what_was_released_ahead_for_a_slot_that_is_paused_goes_to_another() -> None:
    world = Guarded()
    world.add_slot("a/s0", LABELS)
    world.feed(JobArrived(job(1)))
    assert world.state.in_flight["j1"].slot == "a/s0"
    world.add_slot("b/s0", LABELS)
    world.feed(SlotWithheld("a/s0", PAUSED))
    assert world.state.in_flight["j1"].slot == "b/s0"
    world.run_dry()
    assert world.ended == ["j1"]


def test_a_running_job_stays_where_it_runs() -> None:
    world = Guarded()
    world.add_slot("a/s0", LABELS)
    world.feed(JobArrived(job(1)))
    world.take("a/s0")
    world.add_slot("b/s0", LABELS)
    world.feed(SlotWithheld("a/s0", PAUSED))
    assert world.state.in_flight["j1"].slot == "a/s0"
    assert world.state.in_flight["j1"].started


def test_a_slot_that_stops_gets_nothing_from_its_last_report_on() -> None:
    world = Guarded()
    world.add_slot("a/s0", LABELS)
    world.feed(SlotSeen("a/s0", frozenset(LABELS), False, frozenset(), None, None, note="its agent stops"))
    world.feed(JobArrived(job(1)))
    assert "j1" in world.state.jobs
    assert world.state.slots["a/s0"].note == "its agent stops"
    assert_consistent(world.state)


def test_a_slot_is_withheld_before_it_is_known() -> None:
    world = Guarded()
    world.feed(SlotWithheld("a/s0", PAUSED))
    world.add_slot("a/s0", LABELS)
    world.feed(JobArrived(job(1)))
    assert not world.state.in_flight
    world.feed(SlotWithheld("a/s0", None))
    assert world.state.in_flight["j1"].slot == "a/s0"


def test_a_slot_on_probation_gets_one_job_at_a_time_however_short_they_are() -> None:
    def outs(probing: bool) -> int:
        world = Guarded()
        for _ in range(50):
            world.state.estimates.add_run(job(1).group, "t", 0.001)
        if probing:
            world.feed(SlotProbed("a/s0", True))
        world.add_slot("a/s0", LABELS)
        for number in range(10):
            world.feed(JobArrived(job(number)))
        return len(world.state.in_flight)

    assert outs(True) == 1
    assert outs(False) > 1


def test_a_held_build_waits_while_others_go_on() -> None:
    world = Guarded()
    world.feed(BuildWithheld(("o", "v9"), HELD))
    world.add_slot("a/s0", LABELS)
    world.feed(JobArrived(job(1, app="v9", priority=10)))
    world.feed(JobArrived(job(2, app="v8", priority=1)))
    world.run_dry()
    assert world.ended == ["j2"]
    world.feed(BuildWithheld(("o", "v9"), None))
    world.run_dry()
    assert world.ended == ["j2", "j1"]
