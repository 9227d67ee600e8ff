"""Which slot is taken from those who wait for its build, and what one must bring that makes an install."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgjob.domain.placement.eviction import eviction_loss_s
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import GroupKey
from qgjob.domain.placement.policy.install import InstallCosts, install_gain_s
from qgjob.domain.placement.policy.thresholds import LONG_WAITS
from qgjob.domain.placement.policy.view import View
from tests.support.placement import job
from tests.support.simulated_lab import INSTALL_S, TEST_S, SimulatedLab, usually_waits


def loss_s(priorities: list[int], slots: int, work_s: float, install_s: float = INSTALL_S) -> float:
    group = Group(GroupKey("any", "o", "a"), frozenset(), {}, 1)
    for number, priority in enumerate(priorities):
        group.push(job(number, priority=priority))
    return eviction_loss_s(group, slots, work_s, install_s)


@given(st.lists(st.sampled_from([2, 5]), min_size=1, max_size=9), st.integers(2, 9), st.floats(0.1, 1e5))
def test_a_build_loses_less_the_more_slots_it_has_and_the_less_urgent_it_is(
    priorities: list[int], slots: int, work_s: float
) -> None:
    ours_s = loss_s(priorities, slots, work_s)
    assert loss_s(priorities, slots + 1, work_s) < ours_s < loss_s([*priorities, 5], slots, work_s)
    assert ours_s <= loss_s([5] * len(priorities), slots, work_s)
    assert loss_s([*priorities, 9], slots, work_s) == float("inf")
    assert loss_s([*priorities, 9], 1, work_s, install_s=0.0) == float("inf")
    assert loss_s([], slots, 0.0) == 0.0


def test_urgent_work_takes_the_slot_that_is_missed_least() -> None:
    lab = SimulatedLab(20)
    usually_waits(lab, 130.0)
    for number in range(20):
        lab.add(number, priority=2, app=f"single{number}" if number < 14 else "shared")
        lab.now += 3.0
    for number in range(20, 120):
        lab.add(number, priority=2, app="shared" if number % 20 >= 14 else f"single{number % 20}")
    urgent = lab.add(120, priority=9, app="new")
    before = {slot: group.app_version_id for slot, group in lab.builds.items()}
    while urgent.job_id in lab.state.jobs:
        lab.step()
    (taken,) = [slot for slot, group in lab.builds.items() if group.app_version_id == "new"]
    assert before[taken] == "shared", "one of six is missed less than the only one"
    assert lab.now + INSTALL_S <= 60.0 + INSTALL_S + 1.5 * TEST_S, "but it starts in time"


def gain_s(waiting: int, min_gain: float) -> float | None:
    """What one more slot saves a medium build that one slot works on, in a busy lab without other work."""
    lab = SimulatedLab(1)
    for number in range(waiting + 1):
        lab.add(number, priority=5, app="a")
    view = View.of(lab.state, lab.now)
    (group,) = lab.state.active.values()
    return install_gain_s(view, group, InstallCosts(LONG_WAITS, 1.0, 0.0, waiting, 2, min_gain), 1)


def test_an_install_must_save_more_than_a_little() -> None:
    assert gain_s(6, 0.0) == pytest.approx(6 / 2 * (7 * TEST_S - (7 * TEST_S + INSTALL_S) / 2), rel=0.1)
    assert gain_s(6, 60.0) is None
    assert gain_s(20, 60.0) == (gain_s(20, 0.0) or 0.0) - 60.0 * INSTALL_S
