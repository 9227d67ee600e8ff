"""Simulations as tables: what each policy in each lab came to, and how long jobs waited by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bus_schemas.subjects import PRIORITY_CLASSES
from qgjob.cli.display.output import Output
from qgjob.domain.durations import show_duration
from qgjob.simulate.compare import Result
from qgjob.simulate.summary import Summary
from qgjob.simulate.trace import TraceJob

_FIGURES = ("mean", "p50", "p95", "max")


def show(out: Output, results: Sequence[Result], findings: Sequence[str], jobs: Sequence[TraceJob]) -> None:
    """Write everything to stdout; `jobs`: the (first) trace, to describe it."""
    out.say(_headline(jobs, len(results[0].summaries)))
    out.line()
    labs = len({result.lab.name for result in results}) > 1
    names = ["POLICY", "LAB"] if labs else ["POLICY"]
    if not labs:
        out.say(f"{results[0].lab.name}, install {_installing(results[0])}")
    out.table(
        [*names, "INSTALLS", "INSTALLING", "SAVED", "MAKESPAN", "AT LEAST", "× BOUND"],
        [
            [
                *_name(result, labs),
                _number(result, lambda s: s.installs),
                _time(result, lambda s: s.install_s),
                _time(result, lambda s: s.saved_s),
                _time(result, lambda s: s.makespan_s),
                show_duration(result.mean(lambda s: s.makespan_lower_bound_s)),
                f"{result.mean(lambda s: s.makespan_s / (s.makespan_lower_bound_s or 1.0)):.3f}",
            ]
            for result in results
        ],
    )
    out.line()
    out.say("How long jobs waited, from their arrival to the start of the test:")
    present = {job.level for job in jobs}
    levels = [*(level for level in PRIORITY_CLASSES if level in present), "all"]
    out.table(
        ["CLASS", *names, "MEAN", "P50", "P95", "MAX"],
        [
            [level, *_name(result, labs), *(_time(result, _wait(level, figure)) for figure in _FIGURES)]
            for level in levels
            for result in results
        ],
    )
    if findings:
        out.line()
    for finding in findings:
        out.say(finding)


def _headline(jobs: Sequence[TraceJob], seeds: int) -> str:
    builds = len({job.build for job in jobs})
    span = max(job.arrival_s for job in jobs) - min(job.arrival_s for job in jobs)
    work = sum(job.duration_s for job in jobs)
    text = (
        f"{len(jobs):,} jobs of {builds:,} builds, {show_duration(work)} of tests, over {show_duration(span)}"
    )
    return text if seeds == 1 else f"{text}; means of {seeds} seeds ± standard deviation"


def _installing(result: Result) -> str:
    lab = result.lab.lab
    times = sorted({lab.install_on(slot) for slot in range(len(lab.slots))})
    return f"{times[0]:g} s" if len(times) == 1 else f"{times[0]:g} to {times[-1]:g} s"


def _name(result: Result, labs: bool) -> list[str]:
    return [result.policy, result.lab.name] if labs else [result.policy]


def _wait(level: str, figure: str) -> Callable[[Summary], float]:
    return lambda summary: getattr(summary.wait_s[level], figure)


def _number(result: Result, figure: Callable[[Summary], float]) -> str:
    if len(result.summaries) == 1:
        return f"{result.mean(figure):,.0f}"
    return f"{result.mean(figure):,.0f} ± {result.spread(figure):,.0f}"


def _time(result: Result, figure: Callable[[Summary], float]) -> str:
    if len(result.summaries) == 1:
        return show_duration(result.mean(figure))
    return f"{show_duration(result.mean(figure))} ± {show_duration(result.spread(figure))}"
