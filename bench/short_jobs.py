"""Placement of short jobs on the virtual clock: 400 jobs of 12 builds on 8 slots, with estimates and without.

`python -m bench short_jobs`: makespan over its bound, median and worst of forty seeds, and how many of all
miss the goal. What the live bench (`placement`) measures with real agents, without what these cost.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Final

from bench.placement import CASES, SLOTS, Case, trace_of
from qgjob.simulate.baselines import POLICIES
from qgjob.simulate.engine import Lab, Simulation

SEEDS: Final = 40
NOISE: Final = 0.3


def run_short_jobs() -> dict[str, Any]:
    """By case, the ratios with noisy estimates and in a lab that knows nothing yet."""
    cases = [case for case in CASES if case.agents == 1]
    return {case.name: {"goal": case.target, **_figures(case)} for case in cases}


def _figures(case: Case) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, without_history in (("estimates", False), ("no_estimates", True)):
        rounds = [_round(case, seed, without_history=without_history) for seed in range(1, SEEDS + 1)]
        ratios = [ratio for ratio, _ in rounds]
        figures[name] = {
            "median": round(median(ratios), 3),
            "worst": round(max(ratios), 3),
            "missed": sum(ratio > case.target for ratio in ratios),
            "installs": median(installs for _, installs in rounds),
            "most_installs": max(installs for _, installs in rounds),
        }
    return figures


def _round(case: Case, seed: int, *, without_history: bool) -> tuple[float, int]:
    """Makespan over its bound, and installs."""
    jobs, bound = trace_of(case, 0, seed=seed)
    lab = Lab.uniform(SLOTS, case.install_s)
    executions = Simulation(
        jobs, lab, POLICIES["qgjob"](seed), noise=NOISE, seed=seed, without_history=without_history
    ).run()
    ended = max(each.ended_s for each in executions) - min(job.arrival_s for job in jobs)
    return ended / bound, sum(each.installed for each in executions)
