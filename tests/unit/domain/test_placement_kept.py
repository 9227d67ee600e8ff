"""What the core keeps in order says the same as plain computations, whatever rules and labels come and go."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable

import pytest

from qgjob.domain.placement.core import decide
from qgjob.domain.placement.events import JobArrived, SlotSeen, unknown_end
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.model import LabState, Slot
from qgjob.domain.placement.policy import favoured, ordinary, urgent
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install, slots_with_build
from qgjob.domain.placement.policy.view import Choice, View
from tests.support.placement import World, job
from tests.support.unrest import Unrest
from tests.unit.domain.test_fairness import plainly_favoured
from tests.unit.domain.test_placement_histories import assert_indexed

_STEPS = 200
_MIN_WORK = 4.0


def plain_slots_for_install(view: View, of: Group | Pool) -> list[Slot]:
    """Common slots first, then those whose build nobody waits for, then the longest idle."""
    needed = view.stats(of).slots

    def rank(slot: Slot) -> tuple[int, int]:
        others = view.state.stats.by_capability.values()
        scarcity = sum(other.fcfs.labels <= slot.labels and other.slots < needed for other in others)
        level = view.waiting_level(slot)
        return scarcity, -3 if level is None else -level

    return sorted((slot for slot in view.idle if of.labels <= slot.labels), key=rank)


def plain_choice(view: View, pools: list[Pool], level: int) -> Choice | None:
    """Their next job, found by a look at every group."""
    orgs = plainly_favoured(view.state)
    without = {org for org in orgs if not view.fairness.slots(org)}
    for turn, first in ((without, True), (orgs - without, False)):
        for group in (group for pool in pools for group in pool.by_priority[level]):
            if group.key.org_id in turn and (choice := _choice_of(view, group, level, first=first)):
                return choice
    return None


def _choice_of(view: View, group: Group, level: int, *, first: bool) -> Choice | None:
    slots = list(slots_with_build(view, group))
    if not view.workers(group) or (level and view.has_work_for_one_more(group, _MIN_WORK)):
        slots += [
            slot
            for slot in plain_slots_for_install(view, group)
            if view.waiting_level(slot) is None or view.fairness.can_spare(slot, first=first)
        ]
    return next(
        (choice for slot in slots if (choice := choose_job(view, slot, group, "", level=level))), None
    )


def assert_kept(world: World) -> None:
    state = world.state
    assert_indexed(state)
    state.stats.advance(state, world.now)
    view = View.of(state, world.now)
    available = [slot.labels for slot in state.slots.values() if slot.available]
    for stats in state.stats.by_capability.values():
        assert stats.slots == sum(stats.fcfs.labels <= labels for labels in available)
    for pool in state.index.pools.values():
        slots = plain_slots_for_install(view, pool)
        assert list(slots_for_install(view, pool)) == slots
        ahead = any(key.capability == pool.capability for key in view.prefetching)
        assert (pool in view.pools) == (bool(slots) or ahead)
    for groups in (state.active, state.blocked):
        orgs = {key.org_id for key in groups}
        assert all(set(groups.keys_of(org)) == {key for key in groups if key.org_id == org} for org in orgs)
    shadow = state.stats.shadow
    kinds = Counter(labels & shadow.required for labels in available)
    assert {labels: len(alike) for labels, alike in shadow.slots.items()} == kinds
    for queue in shadow.queues.values():
        for level in range(3):
            assert queue.work_s[level] == pytest.approx(sum(queue.jobs[level].values()), abs=1e-3)
        idle = [alike[0][0] for kind, alike in shadow.slots.items() if queue.labels <= kind]
        assert not any(queue.jobs) or all(free_at > world.now for free_at in idle), "an idle slot"


@pytest.mark.parametrize("seed", range(10))
def test_it_says_the_same_as_plain_computations(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def choose_favoured(view: View, pools: list[Pool], level: int) -> Choice | None:
        choice = favoured.choose_favoured(view, pools, level)
        if all(slot.available for slot in view.state.slots.values()):
            plain = plain_choice(view, pools, level)
            assert (choice and choice[:3]) == (plain and plain[:3])
        return choice

    for rules in (ordinary, urgent):
        monkeypatch.setattr(rules, "choose_favoured", choose_favoured)
    lab = Unrest(seed)
    for _ in range(_STEPS):
        lab.step()
        assert_kept(lab.world)


def test_decisions_leave_nothing_to_the_garbage_collector() -> None:
    """With a million jobs it pauses a leader, so what a decision makes has to be let go of without it."""

    def alive() -> int:
        return sum(isinstance(one, Group | View) for one in gc.get_objects())

    lab = Unrest(2)
    gc.collect()
    gc.disable()
    try:
        for _ in range(_STEPS):
            lab.step()
        left = alive()
        gc.collect()
        assert left == alive()
    finally:
        gc.enable()


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_left_of_what_is_gone(seed: int) -> None:
    lab = Unrest(seed)
    for _ in range(_STEPS):
        lab.step()
    lab.settle()
    state, index = lab.world.state, lab.world.state.index
    orgs = index.orgs
    index.refresh(state.estimates)
    left: Iterable[object] = (
        *(state.groups, state.active, state.blocked, state.jobs, state.in_flight, state.awaited),
        *(state.slots, state.free, state.org_in_flight, state.groups_in_flight, state.yielding),
        *(orgs.waiting, orgs.slots, orgs.by_capability, orgs.turned, orgs.with_several, orgs.all_waiting),
        *(orgs.total_weight, orgs.weighted, index.pools, index.builds, index.changed, state.run_gates),
    )
    assert not any(left)


def test_of_many_sets_of_labels_those_that_are_used_are_remembered() -> None:
    state = LabState()
    known, first = state.stats.by_capability, dict[str, object]()
    decide(state, SlotSeen("a/s", frozenset({"common"}), True, frozenset(), None, None), 0.0)
    for number, label in enumerate(["waits", *(n for m in range(260) for n in ("common", f"rare{m}"))]):
        decide(state, JobArrived(job(number, labels=[label])), 0.0)
        first.setdefault(label, known[label])
        if label != "waits":
            decide(state, unknown_end(f"j{number}", 1), 0.0)
    assert known["waits"] is first["waits"], "its job waits all the time"
    assert known["common"] is first["common"], "jobs ask for it all the time"
    assert len(known) < 260
