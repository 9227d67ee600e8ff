"""Make traces like those of a lab: organisations push builds, each with a suite of tests."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from qgjob.simulate.trace import TraceJob

_CLASSES: Final = ((9, 0.15), (5, 0.55), (2, 0.30))


@dataclass(frozen=True, slots=True, kw_only=True)
class CiShape:
    """A few months of CI in small: pushes are a Poisson process, each brings all or some of a suite.

    `load`: test work and one install a push, over what the slots can do in the time of the arrivals.
    `rerun`: the share of jobs that somebody starts again by hand, urgently, some time later.
    """

    jobs: int = 5000
    slots: int = 40
    install_s: float = 40.0
    load: float = 0.9
    orgs: int = 4
    apps_per_org: int = 2
    tests_per_push: float = 60.0
    median_s: float = 70.0
    shortest_s: float = 20.0
    longest_s: float = 300.0
    rerun: float = 0.05
    seed: int = 1


def ci_trace(shape: CiShape) -> list[TraceJob]:
    """A trace of that shape, by arrival; equal shapes give equal traces."""
    rng = random.Random(shape.seed)  # noqa: S311 - a simulation
    suites = {
        (org, app): [test_seconds(rng, shape) for _ in range(_suite_size(rng, shape))]
        for org in range(shape.orgs)
        for app in range(shape.apps_per_org)
    }
    apps = list(suites)
    popularity = [rng.paretovariate(1.3) for _ in apps]
    pushes: list[tuple[tuple[int, int], list[int], int]] = []
    planned = 0
    while planned < shape.jobs:
        app = rng.choices(apps, popularity)[0]
        share = 1.0 if rng.random() < 0.6 else rng.uniform(0.15, 0.8)
        tests = [test for test in range(len(suites[app])) if rng.random() < share] or [0]
        tests = tests[: shape.jobs - planned]
        priority = rng.choices([c[0] for c in _CLASSES], [c[1] for c in _CLASSES])[0]
        pushes.append((app, tests, priority))
        planned += len(tests)
    work = sum(suites[app][test] for app, tests, _ in pushes for test in tests)
    span = (work + shape.install_s * len(pushes)) / (shape.slots * shape.load)
    push_times = sorted(rng.random() * span for _ in pushes)
    versions: dict[tuple[int, int], int] = {}
    jobs: list[TraceJob] = []
    for at, (app, tests, priority) in zip(push_times, pushes, strict=True):
        versions[app] = versions.get(app, 0) + 1
        for test in tests:
            urgent = rng.random() < shape.rerun
            arrival = at + (rng.expovariate(10 / span) if urgent else rng.uniform(0, 60))
            seconds = suites[app][test] * rng.lognormvariate(0, 0.15)
            jobs.append(
                TraceJob(
                    arrival_s=round(arrival, 3),
                    app_version_id=f"app{app[1]}-{versions[app]:04d}",
                    test=f"tests/test_{app[1]}_{test:03d}.py",
                    duration_s=round(min(shape.longest_s, max(shape.shortest_s, seconds)), 3),
                    priority=9 if urgent else priority,
                    org_id=f"org{app[0]}",
                )
            )
    return sorted(jobs, key=lambda job: job.arrival_s)


def _suite_size(rng: random.Random, shape: CiShape) -> int:
    return max(6, int(rng.lognormvariate(math.log(shape.tests_per_push), 0.8)))


def test_seconds(rng: random.Random, shape: CiShape) -> float:
    """How long a test takes: lognormal, within the shape's bounds."""
    seconds = rng.lognormvariate(math.log(shape.median_s), 0.7)
    return min(shape.longest_s, max(shape.shortest_s, seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabShape:
    """A small lab's rush: some builds of unequal popularity, their jobs mixed.

    `mean_s`: the mean duration of a test. `span`: the time over which jobs arrive, in units of what the
    slots need for the tests alone; 0: all at once.
    """

    jobs: int = 400
    builds: int = 12
    slots: int = 8
    mean_s: float = 0.05
    span: float = 0.5
    seed: int = 1


def lab_trace(shape: LabShape) -> list[TraceJob]:
    """A trace of that shape, by arrival: lognormal durations, builds by a Zipf law, each at least once."""
    rng = random.Random(shape.seed)  # noqa: S311 - a simulation
    popularity = [1.0 / (rank + 1) ** 0.7 for rank in range(shape.builds)]
    raw = [rng.lognormvariate(0, 0.8) for _ in range(shape.jobs)]
    scale = shape.mean_s * shape.jobs / sum(raw)
    builds = [*range(shape.builds)][: shape.jobs]
    builds += rng.choices(range(shape.builds), popularity, k=shape.jobs - len(builds))
    rng.shuffle(builds)
    span = shape.span * shape.mean_s * shape.jobs / shape.slots
    arrivals = sorted(rng.random() * span for _ in range(shape.jobs))
    return [
        TraceJob(
            arrival_s=round(arrival, 4),
            app_version_id=f"shop-{build:04d}",
            test=f"tests/test_{rng.randrange(200):03d}.py",
            duration_s=round(seconds * scale, 4),
            priority=rng.choices((9, 5, 2), (0.2, 0.5, 0.3))[0],
            org_id=f"org{build % 3}",
        )
        for arrival, build, seconds in zip(arrivals, builds, raw, strict=True)
    ]
