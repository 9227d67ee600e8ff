"""The placement policy on a virtual clock: the goals, trace by trace, against what labs use today.

`python -m bench placement_policy [--quick]`: shapes like those of the reference scenarios, then ones drawn
by chance (held out once, tuned on since); `--quick` leaves out the one of 200 slots at load 0.9. The rows of
the table come on standard error as they are ready, as Markdown; the figures at the end on standard output.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.streams import StreamShape, stream_trace
from qgjob.simulate.baselines import POLICIES
from qgjob.simulate.bounds import split_lower_bound
from qgjob.simulate.engine import Lab, Simulation
from qgjob.simulate.generate import CiShape, ci_trace
from qgjob.simulate.summary import Summary, summarize

NOISE: Final = 0.3
NOISE_SEED: Final = 3
COMPARED: Final = ("fifo", "sticky", "qgjob")
BUSY_LOAD: Final = 0.7
BUSY_BUILDS_PER_SLOT: Final = 3.0
HELD_OUT: Final = 10
HELD_OUT_SEED: Final = 2026

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Case:
    """A trace, by its shape, and whether it is the one that has goals of its own."""

    name: str
    shape: CiShape | StreamShape
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure of our policy, and the most that it may be."""

    name: str
    value: float
    most: float
    to: str = ""
    """The policy whose figure it is held against, if any."""

    @property
    def passes(self) -> bool:
        """Whether it is reached; a millionth is rounding."""
        return self.value <= self.most * (1 + 1e-6)


LIKE_THE_REFERENCE: Final = (
    Case("S", CiShape(jobs=2000, slots=8, orgs=3, install_s=40, tests_per_push=40, seed=11)),
    Case("MS", CiShape(jobs=5000, slots=40, orgs=6, install_s=60, tests_per_push=12, seed=13)),
    Case("MB", CiShape(jobs=5000, slots=40, orgs=4, install_s=30, load=4.0, seed=12)),
    Case("LB", CiShape(jobs=20000, slots=200, orgs=6, install_s=20, load=4.0, seed=15)),
)
HARD: Final = Case("L", CiShape(jobs=20000, slots=200, orgs=6, install_s=60, seed=14), hard=True)


STREAMS: Final = (
    Case("to all builds", StreamShape()),
    Case("small lab", StreamShape(jobs=3000, slots=12, builds=60)),
    Case("some builds popular", StreamShape(builds=100, popularity=0.9)),
    Case("long installs", StreamShape(jobs=6000, slots=40, install_s=90, builds=150)),
    Case("short installs", StreamShape(slots=30, install_s=15, builds=120)),
    Case("little load", StreamShape(builds=120, load=0.72)),
    Case("a tenth of the time", StreamShape(builds=300, life=0.1)),
    Case("for a short time", StreamShape(jobs=6000, builds=400, life=0.03)),
    Case("a build, a priority", StreamShape(builds=300, life=0.1, per_build=True)),
    Case("much urgent work", StreamShape(builds=150, life=0.1, classes=((9, 0.4), (5, 0.4), (2, 0.2)))),
    Case("urgent and low", StreamShape(builds=150, life=0.1, classes=((9, 0.2), (2, 0.8)))),
    Case("medium alone", StreamShape(builds=150, life=0.1, classes=((5, 1.0),))),
    Case("large lab", StreamShape(jobs=12000, slots=120, install_s=60, builds=700, life=0.1)),
    Case("mixed pushes", StreamShape(builds=150, life=0, push_s=60)),
    Case("tests alike", StreamShape(builds=150, life=0, push_s=30, per_build=True, seconds=(60.0,))),
    Case("short and long tests", StreamShape(builds=150, life=0, push_s=60, seconds=(10.0, 400.0))),
    Case("pushes at once", StreamShape(builds=100, life=0, push_s=1, per_build=True)),
)
"""Traces of other shapes: the goals are made for pushes, but a lab may be different."""


def held_out() -> Iterator[Case]:
    """Shapes drawn by chance; long enough for about five builds a slot."""
    rng = random.Random(HELD_OUT_SEED)
    for number in range(1, HELD_OUT + 1):
        slots, tests = rng.randint(8, 60), rng.choice((12, 20, 40, 60))
        shape = CiShape(
            jobs=max(2000, 5 * slots * tests),
            slots=slots,
            orgs=rng.randint(3, 6),
            install_s=rng.randint(15, 90),
            load=rng.randint(70, 95) / 100,
            tests_per_push=tests,
            seed=1000 + number,
        )
        yield Case(f"H{number}", shape)


def run_placement_policy(*, quick: bool = False) -> dict[str, Any]:
    """Every trace with every policy, what passes, and how many traces pass everything."""
    return _compare((*LIKE_THE_REFERENCE, *held_out(), *(() if quick else (HARD,))))


def run_placement_streams() -> dict[str, Any]:
    """The same for traces of other shapes."""
    return _compare(STREAMS)


def _compare(cases: Sequence[Case]) -> dict[str, Any]:
    traces: dict[str, Any] = {}
    _row(
        "trace",
        "policy",
        "urgent p95",
        "medium p95",
        "mean wait",
        "longest",
        "installs",
        "makespan",
        "missed",
    )
    _row(*["---"] * 9)
    for case in cases:
        traces[case.name] = measure(case)
    passing = sum(trace["passes"] for trace in traces.values())
    print(f"\n{passing} of {len(traces)} traces pass every goal.", file=sys.stderr, flush=True)
    return {"noise": NOISE, "traces": traces, "passing": passing, "of": len(traces)}


def measure(case: Case) -> dict[str, Any]:
    """The figures of one trace, and our goals on it."""
    shape = case.shape
    jobs = ci_trace(shape) if isinstance(shape, CiShape) else stream_trace(shape)
    lab = Lab.uniform(shape.slots, shape.install_s)
    builds_per_slot = len({job.build for job in jobs}) / shape.slots
    first = min(job.arrival_s for job in jobs)
    bound_s = split_lower_bound(jobs, shape.slots, shape.install_s)
    figures: dict[str, dict[str, float]] = {}
    took: dict[str, float] = {}
    for name in COMPARED:
        began = time.process_time()
        ran = Simulation(jobs, lab, POLICIES[name](NOISE_SEED), noise=NOISE, seed=NOISE_SEED).run()
        took[name] = round(time.process_time() - began, 2)
        figures[name] = figures_of(summarize(name, jobs, lab, ran), first, bound_s)
    goals = goals_of(case, builds_per_slot, figures)
    for name in COMPARED:
        _show(case, builds_per_slot, name, figures, goals)
    return {
        "shape": asdict(shape),
        "builds_per_slot": round(builds_per_slot, 2),
        "policies": figures,
        "to_fifo": {name: _ratios(figures[name], figures["fifo"]) for name in COMPARED[1:]},
        "goals": [{**asdict(goal), "passes": goal.passes} for goal in goals],
        "passes": all(goal.passes for goal in goals),
        "processor_s": took,
    }


def figures_of(summary: Summary, first_s: float, bound_s: float) -> dict[str, float]:
    """What is compared: waits in seconds, counts, the makespan from the first arrival over its bound."""
    waits = summary.wait_s
    return {
        "urgent_p95_s": round(waits["high"].p95, 1),
        "medium_p95_s": round(waits["medium"].p95, 1),
        "low_p95_s": round(waits["low"].p95, 1),
        "mean_wait_s": round(waits["all"].mean, 1),
        "longest_wait_s": round(waits["all"].max, 1),
        "installs": summary.installs,
        "makespan_over_bound": round((summary.makespan_s - first_s) / bound_s, 4),
    }


def goals_of(case: Case, builds_per_slot: float, figures: Mapping[str, Figures]) -> list[Goal]:
    """What has to be reached on a trace.

    Against first come, first served where a lab is busy and its builds many; elsewhere nothing may be worse
    than with `sticky`. The hard trace is held against both where its builds are few. A backlog (more work
    than its time has room for) must be done soon after its bound.
    """
    own, fifo, sticky = figures["qgjob"], figures["fifo"], figures["sticky"]

    def against(base: Figures, name: str, times: float) -> Goal:
        return Goal(name, own[name], round(times * base[name], 4), "fifo" if base is fifo else "sticky")

    busy = case.shape.load >= BUSY_LOAD and builds_per_slot >= BUSY_BUILDS_PER_SLOT
    goals: list[Goal] = []
    if busy or case.hard:
        installs, mean = (0.35, 0.35) if case.hard else (0.62, 0.86)
        goals += [
            against(fifo, "urgent_p95_s", 1.05 if case.hard else 1.1),
            against(fifo, "medium_p95_s", 1.0 if case.hard else 1.05),
            against(fifo, "longest_wait_s", 1.0),
            against(fifo, "installs", installs),
            against(fifo, "mean_wait_s", mean),
        ]
    if not busy:
        goals += [against(sticky, name, 1.0) for name in own if name != "low_p95_s"]
    if case.hard:
        goals += [
            against(fifo, "low_p95_s", 1.0),
            Goal("installs at all", own["installs"], 4000),
            Goal("mean wait at all", own["mean_wait_s"], 600),
        ]
    if case.shape.load > 1:
        goals.append(Goal("backlog's makespan", own["makespan_over_bound"], 1.06))
    return goals


def _ratios(own: Figures, base: Figures) -> dict[str, float | None]:
    return {name: round(own[name] / base[name], 3) if base[name] else None for name in own}


def _show(
    case: Case, builds_per_slot: float, policy: str, figures: Mapping[str, Figures], goals: list[Goal]
) -> None:
    shape, own, first = case.shape, figures[policy], policy == COMPARED[0]
    ratios = _ratios(own, figures["fifo"])
    lab = f"{case.name}: {shape.slots} slots, {shape.install_s:g} s, load {shape.load:g}"
    cells = [
        f"{own[name]:,.0f}" + ("" if first or ratios[name] is None else f" ({ratios[name]:.2f})")
        for name in ("urgent_p95_s", "medium_p95_s", "mean_wait_s", "longest_wait_s", "installs")
    ]
    missed = [
        f"{goal.name.removesuffix('_s').replace('_', ' ')} {goal.value:,.5g} > {goal.most:,.5g}"
        + (f" ({goal.to})" if goal.to else "")
        for goal in goals
        if not goal.passes
    ]
    missed_text = ("; ".join(missed) or "none") if policy == "qgjob" else ""
    trace = f"{lab}, {builds_per_slot:.1f} builds a slot" if first else ""
    _row(trace, policy, *cells, f"{own['makespan_over_bound']:.3f}", missed_text)


def _row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", file=sys.stderr, flush=True)
