"""Placement, live: 400 jobs of 12 builds, mixed, on 8 slots of real agents; every install takes its time.

The makespan is from the first publish to the stream time of the last end, over the lower bound of the same
trace. Beside it, on the same server and in the same minute, what people build by hand (`bench.pools`).

Rounds count in a lab that knows its tests. The first trace also comes before, when nothing is known, and that
is said apart (`new_lab`): so the two differ by what is known, not by their trace.

`python -m bench placement [--quick]`: each round says its figures on standard error as it is done, some nine
minutes in all; `--quick` leaves out the pool that takes first come, first served, which is half of that.
`QGJOB_BENCH_ROUNDS` sets how many rounds there are of each case.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.pools import Pool, first_come, stealing
from bench.system import percentiles, running, stored_at
from bus_schemas.events import Attempt, Ended, decode_event
from bus_schemas.jobs import JobSpec
from qgjob.bus.connect import Bus
from qgjob.client.ids import new_ids
from qgjob.client.submitting.publish_run import PlannedRun
from qgjob.simulate.bounds import split_lower_bound
from qgjob.simulate.generate import LabShape, lab_trace
from qgjob.simulate.trace import TraceJob
from tests.support.runs import as_run, submit
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg

SLOTS: Final = 8
ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured, and what is hoped for."""

    name: str
    install_s: float
    mean_s: float
    span: float
    agents: int
    target: float


CASES: Final = (
    Case("install 0.25, tests 0.05, at once", 0.25, 0.05, 0.0, 1, 1.2),
    Case("install 0.25, tests 0.05, arriving", 0.25, 0.05, 0.5, 1, 1.2),
    Case("install 0.25, tests 0.05, at once, 8 agents", 0.25, 0.05, 0.0, 8, 1.2),
    Case("install 0.1, tests 0.2, at once", 0.1, 0.2, 0.0, 1, 1.1),
    Case("install 0.1, tests 0.2, arriving", 0.1, 0.2, 0.5, 1, 1.1),
)


@dataclass(frozen=True, slots=True)
class Round:
    """When the first job was published and the last end recorded (seconds since 1970), and the attempts."""

    began: float
    ended: float
    attempts: list[Attempt]

    @property
    def took_s(self) -> float:
        """The makespan."""
        return self.ended - self.began


async def live(bus: Bus, jobs: Sequence[TraceJob]) -> Round:
    """One round of results."""
    ends: list[tuple[float, Ended]] = []

    async def on_event(msg: Msg) -> None:
        event = decode_event(msg.data)
        if isinstance(event, Ended):
            ends.append((stored_at(msg), event))

    heard = await bus.nc.subscribe("qg.live.events.*.*.*.*.state", cb=on_event)
    together = jobs[0].arrival_s == jobs[-1].arrival_s
    runs = [_run(jobs)] if together else [_run([job]) for job in jobs]
    began, clock = time.time(), time.perf_counter()
    for job, run in zip(jobs, runs, strict=False):
        await asyncio.sleep(max(0.0, clock + job.arrival_s - time.perf_counter()))
        await submit(bus, run)
    await wait_for(lambda: len(ends) >= len(jobs), 120, f"{len(jobs)} ends")
    await heard.unsubscribe()
    bad = [end.state for _, end in ends if end.state != "passed"]
    if bad:
        raise RuntimeError(f"{len(bad)} jobs ended {bad[0]}")
    return Round(began, max(at for at, _ in ends), [end.result for _, end in ends])


async def measure(case: Case, rounds: int, *, quick: bool = False) -> dict[str, Any]:
    """Rounds of one case: qgjob's, and the pools, each with another trace; `quick`: the better pool only."""
    pools = {"stealing": stealing} if quick else {"first come": first_come, "stealing": stealing}
    own: list[dict[str, float]] = []
    others: dict[str, list[tuple[float, int]]] = {name: [] for name in pools}
    args = ("--driver", "process", "--install-seconds", str(case.install_s))
    async with running(agents=case.agents, slots=SLOTS // case.agents, agent_args=args) as bus:
        new_lab = await _run_qgjob(bus, case, 0, seed=1)
        _say(case, "nothing known", {"qgjob": (new_lab["ratio"], new_lab["installs"])})
        for number in range(1, rounds + 1):
            own.append(await _run_qgjob(bus, case, number, seed=number))
            figures = {"qgjob": (own[-1]["ratio"], own[-1]["installs"])}
            jobs, bound = trace_of(case, number, seed=number)
            for name, work in pools.items():
                spent, installs = await Pool(bus, jobs, case.install_s).run(SLOTS, work)
                others[name].append((spent / bound, installs))
                figures[name] = others[name][-1]
            _say(case, f"round {number}", figures)
    return {
        "target": case.target,
        "ratio": _median(one["ratio"] for one in own),
        "new_lab": round(new_lab["ratio"], 3),
        "installs": _median(one["installs"] for one in own),
        "most_installs": max(one["installs"] for one in own),
        "gap_ms": {name: _median(one[f"gap_{name}"] for one in own) for name in ("p50", "p95", "max")},
        "of_slot_time": {name: _median(one[name] for one in own) for name in _SHARES},
        **{
            name: {
                "ratio": _median(ratio for ratio, _ in results),
                "installs": _median(installs for _, installs in results),
            }
            for name, results in others.items()
        },
    }


def trace_of(case: Case, number: int, *, seed: int) -> tuple[list[TraceJob], float]:
    """The jobs of a round and the bound of their makespan.

    No slot has their builds from the round before; tests keep their names, and what was learned of them.
    """
    shape = LabShape(mean_s=case.mean_s, span=case.span, slots=SLOTS, seed=seed)
    jobs = [replace(job, app_version_id=f"r{number}-{job.app_version_id}") for job in lab_trace(shape)]
    in_org = [replace(job, org_id="bench") for job in jobs]
    return jobs, split_lower_bound(in_org, SLOTS, case.install_s)


async def _run_qgjob(bus: Bus, case: Case, number: int, *, seed: int) -> dict[str, float]:
    jobs, bound = trace_of(case, number, seed=seed)
    done = await live(bus, jobs)
    return {"ratio": done.took_s / bound, **_account(done)}


_SHARES: Final = ("testing", "installing", "around", "before", "between", "after")


def _account(done: Round) -> dict[str, float]:
    """Where the slots' time went, as shares, and the gaps between two jobs of a slot in milliseconds.

    `around`: a job that neither installs nor tests. `before` a slot's first job, `after` its last one.
    """
    gaps: list[float] = []
    by_slot: dict[tuple[str | None, str | None], list[tuple[float, float]]] = {}
    for one in done.attempts:
        span = (one.started_at or 0.0, one.finished_at or 0.0)
        by_slot.setdefault((one.agent, one.slot), []).append(span)
    for spans in by_slot.values():
        spans.sort()
        gaps += [(after[0] - before[1]) * 1000 for before, after in pairwise(spans)]
    total = done.took_s * SLOTS
    testing = sum(one.duration_s or 0.0 for one in done.attempts)
    installing = sum(one.install_s or 0.0 for one in done.attempts)
    held = sum(finished - started for spans in by_slot.values() for started, finished in spans)
    unused = (SLOTS - len(by_slot)) * done.took_s
    before = sum(spans[0][0] - done.began for spans in by_slot.values()) + unused
    return {
        "installs": sum(one.installed for one in done.attempts),
        "testing": testing / total,
        "installing": installing / total,
        "around": (held - testing - installing) / total,
        "before": before / total,
        "between": sum(gaps) / 1000 / total,
        "after": sum(done.ended - spans[-1][1] for spans in by_slot.values()) / total,
        **{f"gap_{name}": value for name, value in percentiles(gaps).items()},
    }


def _run(jobs: Sequence[TraceJob]) -> PlannedRun:
    now = time.time()
    run_id = new_ids("run", 1, now)[0]
    specs = [
        JobSpec(
            job_id=job_id,
            run_id=run_id,
            org_id="bench",
            app_version_id=job.app_version_id,
            test=job.test,
            position=position,
            priority=job.priority,
            runner="sleep",
            argv=(str(job.duration_s),),
            created_at=now,
        )
        for position, (job, job_id) in enumerate(zip(jobs, new_ids("job", len(jobs), now), strict=True))
    ]
    return as_run(specs)


def _say(case: Case, which: str, each: dict[str, tuple[float, float]]) -> None:
    """One line of a round: makespan over bound and installs, of each."""
    figures = ", ".join(f"{name} {ratio:.3f} ({installs:.0f})" for name, (ratio, installs) in each.items())
    print(f"{case.name}, {which}: {figures}", file=sys.stderr, flush=True)


def _median(values: Any) -> float:
    return round(median(values), 3)


def run_placement(*, quick: bool = False) -> dict[str, Any]:
    """All cases, medians of their rounds."""
    rounds = int(os.environ.get("QGJOB_BENCH_ROUNDS", ROUNDS))
    return {case.name: asyncio.run(measure(case, rounds, quick=quick)) for case in CASES}
