"""What the benchmark of the placement policy asks for, and that its traces are what they say."""

from __future__ import annotations

from bench.placement_policy import HELD_OUT, Case, Goal, goals_of, held_out, measure
from qgjob.simulate.generate import CiShape

FIFO = {
    "urgent_p95_s": 100.0,
    "medium_p95_s": 200.0,
    "low_p95_s": 400.0,
    "mean_wait_s": 150.0,
    "longest_wait_s": 900.0,
    "installs": 1000.0,
    "makespan_over_bound": 1.2,
}
STICKY = {**FIFO, "installs": 800.0}
GOOD = {**FIFO, "mean_wait_s": 120.0, "installs": 600.0, "makespan_over_bound": 1.05}


def missed(case: Case, builds_per_slot: float, **worse: float) -> set[str]:
    figures = {"fifo": FIFO, "sticky": STICKY, "qgjob": {**GOOD, **worse}}
    return {goal.name for goal in goals_of(case, builds_per_slot, figures) if not goal.passes}


def test_a_busy_lab_is_held_against_first_come_first_served() -> None:
    busy = Case("busy", CiShape(load=0.7))
    assert not missed(busy, 3.0)
    assert not missed(busy, 3.0, urgent_p95_s=110.0, medium_p95_s=210.0)
    assert missed(busy, 3.0, urgent_p95_s=110.1, medium_p95_s=210.1) == {"urgent_p95_s", "medium_p95_s"}
    assert missed(busy, 3.0, longest_wait_s=901.0, installs=621.0, mean_wait_s=129.1) == {
        "longest_wait_s",
        "installs",
        "mean_wait_s",
    }


def test_a_quiet_lab_or_one_of_few_builds_is_held_against_sticky() -> None:
    for case, builds in ((Case("quiet", CiShape(load=0.69)), 9.0), (Case("few", CiShape(load=0.9)), 2.9)):
        assert not missed(case, builds, installs=800.0, urgent_p95_s=100.0)
        assert missed(case, builds, installs=801.0, urgent_p95_s=101.0) == {"installs", "urgent_p95_s"}


def test_a_backlog_must_end_soon_and_the_hard_trace_has_goals_of_its_own() -> None:
    late = {"makespan_over_bound": 1.07}
    assert not missed(Case("no backlog", CiShape(load=0.9)), 9.0, **late)
    assert missed(Case("backlog", CiShape(load=4.0)), 9.0, **late) == {"backlog's makespan"}
    hard = Case("hard", CiShape(load=0.9), hard=True)
    assert missed(hard, 9.0, mean_wait_s=601.0, installs=4001.0, urgent_p95_s=106.0, low_p95_s=401.0) == {
        "urgent_p95_s",
        "low_p95_s",
        "mean_wait_s",
        "installs",
        "installs at all",
        "mean wait at all",
    }
    assert missed(hard, 2.9, installs=340.0, mean_wait_s=50.0, urgent_p95_s=104.0) == {"urgent_p95_s"}


def test_what_is_zero_on_both_sides_passes() -> None:
    assert Goal("waits", 0.0, 0.0).passes
    assert not Goal("waits", 0.1, 0.0).passes


def test_the_held_out_shapes_are_the_same_each_time_and_within_their_bounds() -> None:
    cases = list(held_out())
    assert cases == list(held_out())
    assert len({case.shape for case in cases}) == HELD_OUT
    for case in cases:
        assert 8 <= case.shape.slots <= 60
        assert 15 <= case.shape.install_s <= 90
        assert 0.7 <= case.shape.load <= 0.95


def test_a_measured_trace_is_the_same_each_time_and_says_what_passes() -> None:
    case = Case("small", CiShape(jobs=300, slots=6, tests_per_push=12, seed=4))
    measured = measure(case)
    assert {**measure(case), "processor_s": measured["processor_s"]} == measured
    assert set(measured["policies"]) == {"fifo", "sticky", "qgjob"}
    assert measured["passes"] == all(goal["passes"] for goal in measured["goals"])
    assert measured["to_fifo"]["qgjob"]["installs"] < 1
