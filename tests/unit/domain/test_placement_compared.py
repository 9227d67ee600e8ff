"""The placement policy in simulated labs, against what labs use today."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from statistics import median

import pytest

from qgjob.domain.placement.model import GroupKey, Job
from qgjob.domain.placement.shadow import Shadow
from qgjob.simulate.baselines import POLICIES
from qgjob.simulate.bounds import split_lower_bound
from qgjob.simulate.engine import Lab, Simulation
from qgjob.simulate.generate import CiShape, LabShape, ci_trace, lab_trace
from qgjob.simulate.trace import TraceJob
from tests.support.simulated_lab import SimulatedLab


def test_the_shadow_waits_as_first_come_first_served_does() -> None:
    jobs = ci_trace(CiShape(jobs=400, slots=6, install_s=30, load=0.9, tests_per_push=12, seed=4))
    chooser = POLICIES["fifo"](0)
    ran = Simulation(jobs, Lab.uniform(6, 30.0), chooser, noise=0.0, seed=0).run()
    shadow = Shadow()
    shadow.queue("any", frozenset())
    shadow.resize({frozenset(): 6}, 0.0)
    for number, one in enumerate(jobs):
        shadow.advance(one.arrival_s, lambda _org, _app: 30.0)
        key = GroupKey("any", one.org_id, one.app_version_id)
        arrived = Job(str(number), key, one.test, one.priority, one.arrival_s, number)
        shadow.on_arrival(arrived, frozenset(), one.duration_s)
    for later in range(200):
        shadow.advance(jobs[-1].arrival_s + 500.0 * later, lambda _org, _app: 30.0)
    fifo_waits = sorted(one.wait_s for one in ran if one.job.priority >= 8)
    shadow_waits = shadow.queues["any"].waits[0]
    assert len(shadow_waits) == len(fifo_waits)
    for q in (0.5, 0.9):
        assert shadow_waits.quantile(q) == pytest.approx(fifo_waits[int(len(fifo_waits) * q)], rel=0.15)


def test_a_burst_of_one_organisation_hardly_delays_another() -> None:
    small = [TraceJob(200.0 * n, f"v{n % 8}", f"t{n}", 60.0, 5, None, "calm") for n in range(40)]
    burst = [TraceJob(1000.0, f"w{n % 20}", f"t{n}", 60.0, 5, None, "flood") for n in range(800)]

    def calm(jobs: list[TraceJob], policy: str) -> float:
        ran = Simulation(jobs, Lab.uniform(8, 20.0), POLICIES[policy](0), noise=0.3, seed=1).run()
        return median(one.wait_s for one in ran if one.job.org_id == "calm")

    delays = {name: calm(small + burst, name) - calm(small, name) for name in ("qgjob", "fifo")}
    assert delays["qgjob"] <= 0.15 * delays["fifo"]


def test_a_burst_hardly_delays_the_push_of_another_organisation_on_many_slots() -> None:
    burst = [TraceJob(0.0, f"w{n % 10}", f"t{n}", 30.0 + 40 * (n % 4), 5, None, "flood") for n in range(2000)]
    push = [TraceJob(60.0 + n / 2, "v", f"u{n}", 30.0 + 40 * (n % 4), 5, None, "calm") for n in range(30)]
    waits: dict[str, float] = {}
    for name in ("qgjob", "fifo"):
        ran = Simulation(burst + push, Lab.uniform(100, 60.0), POLICIES[name](0), noise=0.3, seed=1).run()
        waits[name] = median(one.wait_s for one in ran if one.job.org_id == "calm")
    assert waits["qgjob"] <= 0.15 * waits["fifo"]


@pytest.mark.parametrize("span", [0.0, 0.5])
@pytest.mark.parametrize(("install_s", "mean_s", "most"), [(0.25, 0.05, 1.15), (0.1, 0.2, 1.08)])
def test_a_rush_is_done_soon_after_its_bound(
    install_s: float, mean_s: float, most: float, span: float
) -> None:
    ratios: list[float] = []
    installs: list[int] = []
    for seed in range(1, 8):
        jobs = [replace(one, org_id="o") for one in lab_trace(LabShape(mean_s=mean_s, span=span, seed=seed))]
        ran = Simulation(jobs, Lab.uniform(8, install_s), POLICIES["qgjob"](0), noise=0.3, seed=3).run()
        made = max(one.ended_s for one in ran) - jobs[0].arrival_s
        ratios.append(made / split_lower_bound(jobs, 8, install_s))
        installs.append(sum(one.installed for one in ran))
    assert median(ratios) <= most
    assert median(installs) <= (25 if install_s > mean_s else 45)


def test_more_urgent_builds_than_slots_get_one_slot_each_while_all_of_them_take_long_anyway() -> None:
    jobs = [TraceJob(0.0, f"v{n // 6}", f"t{n}", 0.5, 9) for n in range(24)]
    ran = Simulation(jobs, Lab.uniform(4, 0.3), POLICIES["qgjob"](0), noise=0.0, seed=0).run()
    assert sum(one.installed for one in ran) == 4
    assert max(one.ended_s for one in ran) == pytest.approx(0.3 + 6 * 0.5)


def test_at_the_end_of_a_backlog_no_slot_idles_while_a_build_has_much_left() -> None:
    jobs = [TraceJob(0.0, "long", f"t{n}", 10.0, 2) for n in range(40)]
    ran = Simulation(jobs, Lab.uniform(4, 20.0), POLICIES["qgjob"](0), noise=0.0, seed=0).run()
    last = [max(one.ended_s for one in ran if one.slot == slot) for slot in {one.slot for one in ran}]
    assert len(last) == 4
    assert max(last) - min(last) <= 10.0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_busy_lab_installs_less_and_waits_less_than_first_come_first_served(seed: int) -> None:
    shape = CiShape(jobs=1500, slots=12, install_s=60, load=0.9, tests_per_push=20, seed=seed)
    jobs = ci_trace(shape)
    figures: dict[str, tuple[int, float]] = {}
    for name in ("qgjob", "fifo"):
        ran = Simulation(jobs, Lab.uniform(12, 60.0), POLICIES[name](0), noise=0.3, seed=0).run()
        assert sorted(one.job.test for one in ran) == sorted(one.test for one in jobs)
        figures[name] = sum(one.installed for one in ran), math.fsum(one.wait_s for one in ran)
    assert figures["qgjob"][0] < 0.62 * figures["fifo"][0]
    assert figures["qgjob"][1] < 0.86 * figures["fifo"][1]


def test_an_empty_lab_gives_each_job_a_slot_at_once() -> None:
    lab = SimulatedLab(8)
    for number in range(8):
        lab.add(number, priority=(9, 5, 2)[number % 3], app=f"v{number}")
    assert not lab.state.jobs
    assert deque(at for at, _ in lab.starts) == deque([0.0] * 8)
