"""Placement, live: 400 jobs of 12 builds, mixed, on 8 slots of real agents; every install takes its time.

The makespan is from the first publish to the stream time of the last end, over the lower bound of the same
trace. Beside it, on the same server and in the same minute, what people build by hand (`bench.pools`).

`python -m bench placement [--quick]`: each round says its figures on standard error as it is done, some eight
minutes in all; `--quick` leaves out the pool that takes first come, first served, which is half of that.
`QGJOB_BENCH_ROUNDS` sets how many rounds there are of each case.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.pools import Pool, first_come, stealing
from bench.system import percentiles, running, submit
from bus_schemas.events import Attempt, Ended, decode_event
from bus_schemas.jobs import JobSpec
from qgjob.bus.connect import Bus
from qgjob.client.ids import new_ids
from qgjob.client.publish_run import PlannedRun
from qgjob.simulate.bounds import makespan_lower_bound
from qgjob.simulate.generate import LabShape, lab_trace
from qgjob.simulate.trace import TraceJob
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


async def live(bus: Bus, jobs: Sequence[TraceJob]) -> tuple[float, list[Attempt]]:
    """Seconds from the first publish to the last recorded end, and the attempts."""
    ends: list[tuple[float, Ended]] = []

    async def on_event(msg: Msg) -> None:
        event = decode_event(msg.data)
        if isinstance(event, Ended):
            ends.append((_stored_at(msg), event))

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
    return max(at for at, _ in ends) - began, [end.result for _, end in ends]


async def measure(case: Case, rounds: int, *, quick: bool = False) -> dict[str, Any]:
    """Rounds of one case: ours, and the pools, each with another trace; `quick`: the better pool only."""
    ours: list[dict[str, float]] = []
    pools = {"stealing": stealing} if quick else {"first come": first_come, "stealing": stealing}
    others: dict[str, list[tuple[float, int]]] = {name: [] for name in pools}
    args = ("--driver", "process", "--install-seconds", str(case.install_s))
    async with running(agents=case.agents, slots=SLOTS // case.agents, agent_args=args) as bus:
        for number in range(rounds):
            shape = LabShape(mean_s=case.mean_s, span=case.span, slots=SLOTS, seed=number + 1)
            # Builds that no slot has from the round before; tests keep their names, and what was learned.
            jobs = [
                replace(job, app_version_id=f"r{number}-{job.app_version_id}") for job in lab_trace(shape)
            ]
            bound = makespan_lower_bound(
                [replace(job, org_id="bench") for job in jobs], SLOTS, case.install_s
            )
            took, attempts = await live(bus, jobs)
            ours.append({"ratio": took / bound, **_account(attempts, took)})
            for name, work in pools.items():
                spent, installs = await Pool(bus, jobs, case.install_s).run(SLOTS, work)
                others[name].append((spent / bound, installs))
            _say(case, number, {"qgjob": (ours[-1]["ratio"], ours[-1]["installs"])}, others)
    return {
        "target": case.target,
        "ratio": _median(one["ratio"] for one in ours),
        "first_round": round(ours[0]["ratio"], 3),
        "installs": _median(one["installs"] for one in ours),
        "most_installs": max(one["installs"] for one in ours),
        "gap_ms": {name: _median(one[f"gap_{name}"] for one in ours) for name in ("p50", "p95", "max")},
        "of_slot_time": {
            name: _median(one[name] for one in ours)
            for name in ("testing", "installing", "around", "between")
        },
        **{
            name: {
                "ratio": _median(ratio for ratio, _ in results),
                "installs": _median(installs for _, installs in results),
            }
            for name, results in others.items()
        },
    }


def _account(attempts: Sequence[Attempt], took: float) -> dict[str, float]:
    """Where the slots' time went, as shares, and the gaps between two jobs of a slot in milliseconds."""
    gaps: list[float] = []
    by_slot: dict[tuple[str | None, str | None], list[Attempt]] = {}
    for one in attempts:
        by_slot.setdefault((one.agent, one.slot), []).append(one)
    for mine in by_slot.values():
        mine.sort(key=lambda one: one.started_at or 0.0)
        for before, after in pairwise(mine):
            gaps.append(((after.started_at or 0.0) - (before.finished_at or 0.0)) * 1000)
    total = took * SLOTS
    testing = sum(one.duration_s or 0.0 for one in attempts)
    installing = sum(one.install_s or 0.0 for one in attempts)
    held = sum((one.finished_at or 0.0) - (one.started_at or 0.0) for one in attempts)
    return {
        "installs": sum(one.installed for one in attempts),
        "testing": testing / total,
        "installing": installing / total,
        "around": (held - testing - installing) / total,
        "between": 1 - held / total,
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
    return PlannedRun(
        run_id=run_id,
        org_id="bench",
        specs=specs,
        digest=run_id.encode().hex().zfill(64)[-64:],
        name=None,
        meta={},
        created_at=now,
    )


def _stored_at(msg: Msg) -> float:
    text = (msg.headers or {})["Nats-Time-Stamp"]
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return dt.datetime.fromisoformat(seconds).replace(tzinfo=dt.UTC).timestamp() + float(f"0.{fraction or 0}")


def _say(
    case: Case,
    number: int,
    ours: dict[str, tuple[float, float]],
    others: dict[str, list[tuple[float, int]]],
) -> None:
    """One line of a round: makespan over bound and installs, of each."""
    each = {**ours, **{name: results[-1] for name, results in others.items()}}
    figures = ", ".join(f"{name} {ratio:.3f} ({installs:.0f})" for name, (ratio, installs) in each.items())
    print(f"{case.name}, round {number + 1}: {figures}", file=sys.stderr, flush=True)


def _median(values: Any) -> float:
    return round(median(values), 3)


def run_placement(*, quick: bool = False) -> dict[str, Any]:
    """All cases, medians of their rounds."""
    rounds = int(os.environ.get("QGJOB_BENCH_ROUNDS", ROUNDS))
    return {case.name: asyncio.run(measure(case, rounds, quick=quick)) for case in CASES}
