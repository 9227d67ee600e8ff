"""Traces are read with care, and the core on a virtual clock keeps what any schedule must keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qgjob.errors import UsageError
from qgjob.simulate.baselines import POLICIES
from qgjob.simulate.bounds import makespan_lower_bound, split_lower_bound
from qgjob.simulate.engine import Execution, Lab, Simulation
from qgjob.simulate.generate import CiShape, ci_trace
from qgjob.simulate.summary import Waits, summarize
from qgjob.simulate.trace import TraceJob, read_trace, write_trace
from tests.support.examples import examples

HEADER = "arrival_s,app_version_id,test,duration_s,priority\n"

jobs = st.lists(
    st.builds(
        TraceJob,
        arrival_s=st.integers(0, 500).map(float),
        app_version_id=st.sampled_from(["v1", "v2", "v3"]),
        test=st.sampled_from(["a", "b"]),
        duration_s=st.integers(1, 200).map(float),
        priority=st.integers(1, 10),
        target=st.sampled_from([None, "emulator"]),
        org_id=st.sampled_from(["o", "p"]),
    ),
    min_size=1,
    max_size=60,
)


def simulated(trace: list[TraceJob], lab: Lab, policy: str = "qgjob") -> list[Execution]:
    return Simulation(trace, lab, POLICIES[policy](1), noise=0.3, seed=1).run()


@settings(max_examples=examples(60))
@given(jobs, st.integers(1, 5), st.integers(0, 60), st.sampled_from(sorted(POLICIES)))
def test_every_job_runs_once_on_a_slot_that_does_one_thing_at_a_time(
    trace: list[TraceJob], slots: int, install_s: int, policy: str
) -> None:
    lab = Lab.uniform(slots, float(install_s))
    ran = simulated(trace, lab, policy)
    assert sorted(map(id, (one.job for one in ran))) == sorted(map(id, trace))
    for slot in range(slots):
        mine = sorted((one for one in ran if one.slot == slot), key=lambda one: one.taken_s)
        held: tuple[str, str] | None = None
        free = 0.0
        for one in mine:
            assert one.taken_s >= max(free, one.job.arrival_s)
            assert one.installed == (held != one.job.build)
            assert one.started_s == one.taken_s + (install_s if one.installed else 0)
            held, free = one.job.build, one.ended_s
    figures = summarize(policy, trace, lab, ran)
    assert figures.makespan_s >= figures.makespan_lower_bound_s - 1e-6


@settings(max_examples=examples(30))
@given(jobs, st.integers(1, 4))
def test_equal_seeds_give_equal_schedules(trace: list[TraceJob], slots: int) -> None:
    lab = Lab.uniform(slots, 20.0)
    assert simulated(trace, lab) == simulated(trace, lab)


def test_first_come_first_served_takes_the_most_urgent_then_the_oldest() -> None:
    trace = [
        TraceJob(float(at), f"v{at}", "t", 10.0, priority)
        for at, priority in ((0, 5), (1, 2), (2, 9), (3, 9))
    ]
    ran = simulated(trace, Lab.uniform(1, 0.0), "fifo")
    assert [one.job.arrival_s for one in ran] == [0.0, 2.0, 3.0, 1.0]


def test_ours_installs_less_than_what_labs_use_today() -> None:
    trace = ci_trace(CiShape(jobs=1500, slots=12, seed=5))
    lab = Lab.uniform(12, 40.0)
    installs = {name: sum(one.installed for one in simulated(trace, lab, name)) for name in POLICIES}
    assert installs["qgjob"] < installs["sticky"] < installs["fifo"]


def test_labels_are_kept() -> None:
    trace = [TraceJob(0.0, "v1", str(n), 5.0, 5, "emulator" if n % 2 else None) for n in range(10)]
    lab = Lab((frozenset({"device"}), frozenset({"emulator"})), 3.0)
    assert all(one.slot == 1 for one in simulated(trace, lab) if one.job.target)
    with pytest.raises(UsageError, match="needs emulator"):
        simulated(trace, Lab((frozenset({"device"}),), 3.0))


def test_an_install_costs_what_it_costs_on_that_slot() -> None:
    lab = Lab((frozenset({"emulator"}), frozenset({"device"})), 5.0, (5.0, 30.0))
    trace = [TraceJob(0.0, "v1", "a", 1.0, 5, "device"), TraceJob(0.0, "v1", "b", 1.0, 5, "emulator")]
    ran = simulated(trace, lab)
    assert {one.job.target: one.started_s for one in ran} == {"device": 30.0, "emulator": 5.0}
    figures = summarize("qgjob", trace, lab, ran)
    assert figures.install_s == 35.0
    assert figures.makespan_s >= figures.makespan_lower_bound_s


def test_the_makespan_and_its_bound_are_on_the_clock_of_the_trace() -> None:
    trace = [TraceJob(100.0, "v1", "a", 10.0), TraceJob(100.0, "v2", "b", 10.0)]
    lab = Lab.uniform(2, 20.0)
    figures = summarize("qgjob", trace, lab, simulated(trace, lab))
    assert (figures.makespan_s, figures.makespan_lower_bound_s) == (130.0, 130.0)


def test_what_is_saved_is_what_installing_every_time_would_cost_more() -> None:
    trace = [TraceJob(0.0, "v1", str(n), 1.0) for n in range(4)]
    lab = Lab.uniform(1, 7.0)
    figures = summarize("qgjob", trace, lab, simulated(trace, lab))
    assert (figures.installs, figures.install_s, figures.saved_s) == (1, 7.0, 21.0)


def test_progress_is_told() -> None:
    told: list[int] = []
    trace = [TraceJob(0.0, "v1", str(n), 1.0) for n in range(1200)]
    Simulation(trace, Lab.uniform(2, 1.0), POLICIES["fifo"](1), noise=0, seed=1).run(told.append)
    assert told == [500, 1000]


def test_the_bound_counts_work_installs_and_the_longest_job() -> None:
    two = [TraceJob(0.0, "v1", "a", 10.0), TraceJob(0.0, "v2", "b", 10.0)]
    assert makespan_lower_bound(two, 1, 5.0) == 30.0
    assert makespan_lower_bound(two, 2, 5.0) == 15.0
    late = [*two, TraceJob(100.0, "v1", "c", 10.0)]
    assert makespan_lower_bound(late, 2, 5.0) == 110.0
    assert makespan_lower_bound([], 2, 5.0) == 0.0


def test_the_bound_counts_the_installs_of_a_build_that_one_slot_cannot_do_alone() -> None:
    large = [TraceJob(0.0, "v1", str(n), 10.0) for n in range(4)]
    assert makespan_lower_bound(large, 2, 5.0) == pytest.approx(22.5)
    assert split_lower_bound(large, 2, 5.0) == pytest.approx(25.0)
    assert split_lower_bound([], 2, 5.0) == 0.0


def test_a_trace_is_read_back(tmp_path: Path) -> None:
    trace = ci_trace(CiShape(jobs=200, seed=3))
    write_trace(trace, tmp_path / "t.csv")
    assert read_trace(tmp_path / "t.csv") == trace
    assert ci_trace(CiShape(jobs=200, seed=3)) == trace


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no column"),
        ("a,b\n1,2\n", "no column arrival_s"),
        (HEADER, "has no jobs"),
        (HEADER + "1e300,v1,t,1,high\n", "column arrival_s: '1e300' is more than 10,000,000,000 seconds"),
        (HEADER + "x,v1,t,1,high\n", "line 2, column arrival_s: 'x' is not a number of seconds"),
        (HEADER + "0,v1,t,1,high\n0,v1,t,-1,high\n", "line 3, column duration_s"),
        (HEADER + "0,v1,t,nan,high\n", "column duration_s"),
        (HEADER + "0,v1,t,1,urgent\n", "column priority: 'urgent' is neither 1 to 10"),
        (HEADER + "0,v1,t,1,11\n", "column priority"),
        (HEADER + "0,v1,t,1,²\n", "column priority"),
        (HEADER + "0,,t,1,5\n", "column app_version_id: it is empty"),
        (HEADER + "0,v1\n", "line 2, column test: the line ends before it"),
        (HEADER + "0,v1,t,1,5,emulator\n", "more cells than"),
        (HEADER + '0,v1,"t,1,5\n', "line 2: unexpected end of data"),
        (HEADER.strip() + ",target\n0,v1,t,1,5,a b\n", "column target: 'a b' is not a label"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line_and_column(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=what):
        read_trace(path)


def test_what_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe")
    for name, what in (("t.csv", "not text"), ("none.csv", "does not exist"), (".", "cannot be read")):
        with pytest.raises(UsageError, match=what):
            read_trace(tmp_path / name)


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeff" + HEADER + "0,v1,t,1,High\n", encoding="utf-8")
    assert read_trace(path) == [TraceJob(0.0, "v1", "t", 1.0, 9)]


def test_classes_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEADER + "0,v1,t,1,high\n0,v1,t,1,medium\n0,v1,t,1,3\n")
    assert [job.level for job in read_trace(path)] == ["high", "medium", "low"]


def test_percentiles() -> None:
    waits = Waits.of([float(n) for n in range(101)])
    assert (waits.mean, waits.p50, waits.p95, waits.max) == (50.0, 50.0, 95.0, 100.0)
    assert Waits.of([30.0, 0.0, 10.0, 20.0]).p50 == 15.0
    assert Waits.of([7.0]) == Waits(7.0, 7.0, 7.0, 7.0)
    assert Waits.of([]) == Waits(0.0, 0.0, 0.0, 0.0)
