"""The figures of a simulation: waits, installs, makespan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bus_schemas.subjects import PRIORITY_CLASSES
from qgjob.simulate.bounds import makespan_lower_bound
from qgjob.simulate.engine import Execution, Lab
from qgjob.simulate.trace import TraceJob


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds from arrival to the start of the test, the install included."""

    mean: float
    p50: float
    p95: float
    max: float

    @classmethod
    def of(cls, waits: Sequence[float]) -> Waits:
        """The figures of these waits; all zero when there are none."""
        if not waits:
            return cls(0.0, 0.0, 0.0, 0.0)
        ordered = sorted(waits)
        return cls(
            sum(ordered) / len(ordered), _quantile(ordered, 0.5), _quantile(ordered, 0.95), ordered[-1]
        )

    def as_json(self) -> dict[str, float]:
        """Rounded to milliseconds."""
        return {
            "mean": round(self.mean, 3),
            "p50": round(self.p50, 3),
            "p95": round(self.p95, 3),
            "max": round(self.max, 3),
        }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile, 0 to 1, interpolated linearly: 0.5 is the median; `ordered` must not be empty."""
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@dataclass(frozen=True, slots=True)
class Summary:
    """One policy on one trace."""

    policy: str
    jobs: int
    slots: int
    installs: int
    install_s: float
    """What the slots spent on installing, all together."""
    saved_s: float
    """What installing before every single job would have cost in addition."""
    makespan_s: float
    """When the last job ended, on the clock of the trace."""
    makespan_lower_bound_s: float
    """On the same clock."""
    wait_s: dict[str, Waits]
    """By class of priority, and `all`."""

    def as_json(self) -> dict[str, Any]:
        """The document of `qgjob simulate --json`."""
        return {
            "policy": self.policy,
            "jobs": self.jobs,
            "slots": self.slots,
            "installs": self.installs,
            "makespan_s": round(self.makespan_s, 3),
            "makespan_lower_bound_s": round(self.makespan_lower_bound_s, 3),
            "wait_s": {name: waits.as_json() for name, waits in self.wait_s.items()},
            "install_minutes": round(self.install_s / 60, 3),
            "install_minutes_saved": round(self.saved_s / 60, 3),
        }


def summarize(policy: str, jobs: Sequence[TraceJob], lab: Lab, executions: Sequence[Execution]) -> Summary:
    """The figures of a run."""
    by_class: dict[str, list[float]] = {name: [] for name in PRIORITY_CLASSES}
    for one in executions:
        by_class[one.job.level].append(one.wait_s)
    begin = min((job.arrival_s for job in jobs), default=0.0)
    return Summary(
        policy=policy,
        jobs=len(jobs),
        slots=len(lab.slots),
        installs=sum(one.installed for one in executions),
        install_s=sum(one.started_s - one.taken_s for one in executions if one.installed),
        saved_s=sum(lab.install_on(one.slot) for one in executions if not one.installed),
        makespan_s=max((one.ended_s for one in executions), default=begin),
        makespan_lower_bound_s=begin
        + makespan_lower_bound(
            jobs, len(lab.slots), min(map(lab.install_on, range(len(lab.slots))), default=0.0)
        ),
        wait_s={
            **{name: Waits.of(waits) for name, waits in by_class.items()},
            "all": Waits.of([one.wait_s for one in executions]),
        },
    )
