"""Fairness between organisations: first results of one beside a burst of another, and weighted shares."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest

from qgjob.domain.placement.events import JobArrived, RulesChanged, SlotSeen
from qgjob.domain.placement.explain import explain
from qgjob.domain.placement.model import LabState
from qgjob.domain.placement.policy.fairness import fairness_of
from qgjob.domain.placement.rules import Rules
from tests.support.placement import LABELS, World, job
from tests.support.simulated_lab import INSTALL_S, TEST_S, SimulatedLab

ROUND_S = INSTALL_S + TEST_S


def begun(lab: SimulatedLab, org: str) -> list[float]:
    """When the jobs of an organisation started."""
    return [at for at, one in lab.starts if one.group.org_id == org]


@pytest.mark.parametrize("priority", [9, 5, 2])
@pytest.mark.parametrize(("slots", "burst", "jobs"), [(2, 30, 10), (4, 60, 20), (4, 30, 5), (8, 200, 60)])
def test_the_first_result_of_an_organisation_does_not_wait_for_the_burst_of_another(
    slots: int, burst: int, jobs: int, priority: int
) -> None:
    lab = SimulatedLab(slots)
    for number in range(burst):
        lab.add(number, priority=priority, app=f"a{number % 10}", org="burst")
    lab.step()
    came = lab.now
    for number in range(jobs):
        lab.add(burst + number, priority=priority, app="b", org="calm")
    while not begun(lab, "calm"):
        lab.step()
    assert lab.now <= came + ROUND_S


def test_each_of_several_organisations_gets_a_slot_while_others_have_two() -> None:
    lab = SimulatedLab(4)
    for number in range(200):
        lab.add(number, priority=5, app=f"a{number // 50}", org=f"o{number // 50}")
    lab.step()
    for number in range(20):
        lab.add(200 + number, priority=5, app="late", org="late")
    while lab.now < 6 * ROUND_S:
        lab.step()
    assert [org for org in ("o0", "o1", "o2", "o3", "late") if not begun(lab, org)] == ["late"], (
        "no one has a second slot to give"
    )


@pytest.mark.parametrize("slots", [1, 2])
def test_a_slot_that_two_organisations_need_is_not_given_back_and_forth(slots: int) -> None:
    """The second slot can run the work of neither."""
    world = World()
    world.add_slot("a/s0", ("emulator",))
    if slots == 2:
        world.add_slot("a/s1", ("device",))
    for number in range(24):
        org = f"o{number % 2}"
        world.feed(JobArrived(job(number, org=org, app=f"v-{org}", labels=("emulator",), at=world.now)))
    changes, last = 0, None
    for _ in range(24):
        world.take("a/s0")
        _, running = world.running["a/s0"]
        changes += running.group != last
        last = running.group
        world.now += 60.0
        world.finish("a/s0")
    assert len(world.ended) == 24
    assert changes <= 4


@pytest.mark.parametrize(("weights", "slots"), [({"b": 3.0}, 6), ({"a": 3.0}, 2)])
def test_an_organisation_with_a_weight_has_its_share_of_the_slots(
    weights: Mapping[str, float], slots: int
) -> None:
    lab = SimulatedLab(8)
    lab.feed(RulesChanged(Rules(weights=weights)))
    for number in range(200):
        lab.add(number, priority=5, app="a", org="a")
    for number in range(200):
        lab.add(200 + number, priority=5, app="b", org="b")
    while lab.now < 10 * ROUND_S:
        lab.step()
    working = [slot.works_on.key.org_id for slot in lab.state.slots.values() if slot.works_on]
    assert working.count("b") == slots
    assert sum(group.installs for group in lab.state.groups.values()) <= 16


@pytest.mark.parametrize("priority", [9, 5, 2])
@pytest.mark.parametrize(
    ("slots", "weights"), [(8, {"a": 0.01}), (8, {"b": 10.0}), (10, {"c": 7.0, "a": 0.1})]
)
def test_an_organisation_whose_share_is_less_than_a_slot_has_one_and_not_more(
    slots: int, weights: Mapping[str, float], priority: int
) -> None:
    lab = SimulatedLab(slots)
    lab.feed(RulesChanged(Rules(weights=weights)))
    for number, org in enumerate(org for org in "cba" if org in {"a", "b", *weights} for _ in range(300)):
        lab.add(number, priority=priority, app=org, org=org)
    while lab.now < 20 * ROUND_S:
        lab.step()
    assert begun(lab, "a")[0] <= 2 * ROUND_S
    working = [slot.works_on.key.org_id for slot in lab.state.slots.values() if slot.works_on]
    assert working.count("a") == 1
    assert sum(group.installs for group in lab.state.groups.values()) <= 2 * slots


@pytest.mark.parametrize(("weights", "others"), [({"q": 1.5}, 0), ({"z": 2.0}, 2000), ({}, 2000)])
def test_a_share_is_of_the_slots_that_can_run_the_work(weights: Mapping[str, float], others: int) -> None:
    """Of all slots it was more than the two that fit, and one organisation went first there for ever."""
    lab = SimulatedLab(0)
    emulator, device, _ = LABELS
    for number in range(20):
        labels = frozenset({device if number < 2 else emulator})
        lab.feed(SlotSeen(f"a/s{number}", labels, True, frozenset(), None, None))
    lab.feed(RulesChanged(Rules(weights=weights)))
    for number in range(others):
        lab.feed(JobArrived(job(number, org="q", labels=(emulator,))))
    for number in range(others, others + 200):
        org = "qp"[(number - others) // 100]
        lab.feed(JobArrived(job(number, app=org, org=org, labels=(device,))))
    while lab.now < 20 * ROUND_S:
        lab.step()
    on_devices = [one.group.org_id for _, one in lab.starts if one.group.capability == device]
    assert on_devices.count("p") >= 20
    assert on_devices.count("q") >= 20


def plainly_favoured(state: LabState) -> set[str]:
    """Who has fewer slots than it is guaranteed, said as plainly as can be: of all groups and slots."""
    waiting = Counter[str]()
    able = Counter[str]()
    for group in state.groups.values():
        if group.waiting:
            org, fits = group.key.org_id, sum(group.labels <= slot.labels for slot in state.slots.values())
            waiting[org] += group.waiting
            able[org] = max(able[org], fits)
    busy = Counter(slot.works_on.key.org_id for slot in state.slots.values() if slot.works_on)
    idle = Counter(slot.bound.org_id for slot in state.free.values() if slot.bound and not slot.assigned)
    if len(waiting) < 2:
        return set()
    most, flooding = max((count, org) for org, count in waiting.items())
    floods = most > 10 * len(state.slots) and most >= 0.8 * waiting.total()
    present = {*waiting, *busy}
    if not floods and not any(org in state.rules.weights for org in present):
        several = any(count > 1 for count in (busy + idle).values())
        return {org for org in waiting if several and not busy[org] + idle[org]}
    weights = {org: state.rules.weights.get(org, 1.0) for org in present}
    shares = {org: able[org] * weights[org] / sum(weights.values()) for org in waiting}
    return {org for org in shares if busy[org] < shares[org] and not (floods and org == flooding)}


@pytest.mark.parametrize("seed", range(12))
def test_of_many_organisations_those_are_favoured_that_have_less_than_they_are_guaranteed(seed: int) -> None:
    chance = random.Random(seed)
    world = World()
    orgs = [f"o{number}" for number in range(chance.choice((3, 8, 40)))]
    for number in range(chance.choice((3, 12))):
        world.add_slot(f"a/s{number}", LABELS[: 1 + number % 2])
    for number in range(300):
        world.now += 1.0
        if number % 60 == 20:
            weighted = chance.sample(orgs, 2) if chance.random() < 0.5 else []
            world.feed(RulesChanged(Rules(weights=dict.fromkeys(weighted, chance.choice((0.5, 4.0))))))
        org = orgs[0] if seed % 2 and chance.random() < 0.9 else chance.choice(orgs)
        app, labels = chance.choice(("v1", "v2", "v3")), LABELS[: chance.randrange(3)]
        world.feed(JobArrived(job(number, org=org, app=app, labels=labels, at=world.now)))
        name = chance.choice(sorted(world.labels))
        world.perform(chance.choice(("take", "finish")), name)
        world.state.index.refresh(world.state.estimates)
        fairness, plain = fairness_of(world.state), plainly_favoured(world.state)
        assert {org for org in orgs if fairness.favours(org)} == plain
        assert fairness.favoured_with_slots == {org for org in plain if fairness.slots(org)}


def test_explain_names_no_organisation_whose_work_fits_no_slot_of_the_jobs() -> None:
    world = World()
    for number in range(2):
        world.add_slot(f"a/s{number}", ("emulator",))
    for number in range(6):
        world.feed(JobArrived(job(number, org="o", at=world.now)))
    world.feed(JobArrived(job(90, org="p", labels=("device",), at=world.now)))
    answer = explain(world.state, "j5", world.now)
    assert answer is not None
    assert "goes first, as it has" not in answer.summary
    world.feed(JobArrived(job(91, org="p", at=world.now)))
    answer = explain(world.state, "j5", world.now)
    assert answer is not None
    assert "work of p goes first, as it has less than its share of the slots" in answer.summary
