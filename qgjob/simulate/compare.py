"""Several policies, labs and seeds on one trace: what each comes to, and the differences in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import fmean, pstdev
from typing import Any, Final, cast

from qgjob.domain.durations import show_duration
from qgjob.simulate.baselines import POLICIES
from qgjob.simulate.engine import Execution, Simulation
from qgjob.simulate.labs import NamedLab
from qgjob.simulate.summary import Summary, summarize
from qgjob.simulate.trace import TraceJob

OnProgress = Callable[[str, int, int], None]
"""Called with what is simulated, how many jobs it has, and how many of them are done."""

_NAMES: Final = frozenset({"policy", "lab", "jobs", "slots"})


@dataclass(frozen=True, slots=True)
class Result:
    """A policy in a lab: a summary for each seed, and the schedule of the first."""

    policy: str
    lab: NamedLab
    summaries: tuple[Summary, ...]
    executions: Sequence[Execution]

    def as_json(self) -> dict[str, Any]:
        """The document of one simulation; of several seeds the means, beside them `seeds` and `spread`.

        `spread` has the standard deviation of every figure over the seeds.
        """
        documents = [summary.as_json() for summary in self.summaries]
        if len(documents) == 1:
            return documents[0]
        return {
            **_combine(documents, fmean),
            "seeds": len(documents),
            "spread": {
                name: value for name, value in _combine(documents, pstdev).items() if name not in _NAMES
            },
        }

    def mean(self, figure: Callable[[Summary], float]) -> float:
        """A figure's mean over the seeds."""
        return fmean(map(figure, self.summaries))

    def spread(self, figure: Callable[[Summary], float]) -> float:
        """Its standard deviation; 0 with one seed."""
        return pstdev(map(figure, self.summaries))


def simulate_all(
    traces: Sequence[Sequence[TraceJob]],
    labs: Sequence[NamedLab],
    policies: Sequence[str],
    *,
    noise: float,
    seed: int,
    on_progress: OnProgress | None = None,
) -> list[Result]:
    """Every policy in every lab, with as many seeds from `seed` on as there are traces.

    The results come lab by lab, in the order of the policies. Raises `UsageError` when no slot of a lab
    can run one of the jobs.
    """
    results: list[Result] = []
    for lab, policy in product(labs, policies):
        summaries: list[Summary] = []
        shown: list[Execution] = []
        for number, jobs in enumerate(traces):
            what = f"{policy}, {lab.name}" + (f", seed {seed + number}" if len(traces) > 1 else "")
            if on_progress is not None:
                on_progress(what, len(jobs), 0)
            progress = partial(on_progress, what, len(jobs)) if on_progress is not None else None
            chooser = POLICIES[policy](seed + number)
            executions = Simulation(jobs, lab.lab, chooser, noise=noise, seed=seed + number).run(progress)
            summaries.append(summarize(policy, jobs, lab.lab, executions))
            shown = shown or executions
        results.append(Result(policy, lab, tuple(summaries), shown))
    return results


def findings(results: Sequence[Result]) -> list[str]:
    """The comparison in sentences: other labs with the first, our policy (or the first) with the others."""
    first_lab = results[0].lab
    base = {result.policy: result for result in results if result.lab == first_lab}
    sentences = [
        f"{result.lab.name} ({result.policy}): {_differences(result, base[result.policy])}."
        for result in results
        if result.lab != first_lab
    ]
    main = base.get("qgjob", results[0])
    sentences += [
        f"{main.policy} against {other.policy}, {first_lab.name}: {_differences(main, other)}."
        for other in base.values()
        if other is not main
    ]
    return sentences


def _differences(new: Result, old: Result) -> str:
    mean_new, mean_old = _wait(new, "all", "mean"), _wait(old, "all", "mean")
    change = _percent(mean_new, mean_old)
    parts = [
        f"a job waits {show_duration(mean_new)} instead of {show_duration(mean_old)} on average{change}",
    ]
    if any(one.job.level == "high" for one in old.executions):
        urgent_new, urgent_old = (show_duration(_wait(one, "high", "p95")) for one in (new, old))
        parts.append(f"urgent p95 {urgent_new} instead of {urgent_old}")
    installs_new, installs_old = (one.mean(lambda s: s.installs) for one in (new, old))
    parts.append(f"{installs_new:,.0f} installs instead of {installs_old:,.0f}")
    sooner = old.mean(lambda s: s.makespan_s) - new.mean(lambda s: s.makespan_s)
    if abs(sooner) >= 0.005 * old.mean(lambda s: s.makespan_s):
        parts.append(f"the last job ends {show_duration(abs(sooner))} {'earlier' if sooner > 0 else 'later'}")
    else:
        parts.append("the last job ends as late as before" if new.lab != old.lab else "the same makespan")
    return ", ".join(parts)


def _wait(result: Result, level: str, figure: str) -> float:
    return result.mean(lambda summary: getattr(summary.wait_s[level], figure))


def _percent(new: float, old: float) -> str:
    return f" ({(new - old) / old:+.0%})" if old > 0 else ""


def _combine(
    documents: Sequence[dict[str, Any]], statistic: Callable[[Sequence[float]], float]
) -> dict[str, Any]:
    """The same document with every number replaced by a statistic of it over all documents."""
    combined: dict[str, Any] = {}
    for name, value in documents[0].items():
        values = [document[name] for document in documents]
        if isinstance(value, dict):
            combined[name] = _combine(cast("list[dict[str, Any]]", values), statistic)
        elif isinstance(value, int | float) and name not in {"jobs", "slots"}:
            combined[name] = round(statistic(values), 3)
        else:
            combined[name] = value
    return combined
