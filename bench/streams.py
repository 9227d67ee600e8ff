"""Traces that are not pushes: jobs come to many builds side by side, as reruns and bisections do."""

from __future__ import annotations

import random
from dataclasses import dataclass

from qgjob.simulate.generate import CiShape, test_seconds
from qgjob.simulate.trace import TraceJob

_ORGS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShape:
    """Builds to which jobs come for a while, each by itself.

    `life`: for which share of the trace jobs come to a build; 0: all of its jobs within `push_s` seconds.
    `popularity`: the exponent of a Zipf law; 0: all builds alike. `classes`: priorities and their shares, of
    each job or (`per_build`) of all jobs of a build. `seconds`: how long tests take, by random choice; empty:
    lognormal, as `CiShape` has them. `load` as there: test work and one install a build.
    """

    jobs: int = 4000
    slots: int = 24
    install_s: float = 40.0
    load: float = 0.85
    builds: int = 200
    life: float = 1.0
    push_s: float = 0.0
    popularity: float = 0.0
    classes: tuple[tuple[int, float], ...] = ((9, 0.15), (5, 0.55), (2, 0.30))
    per_build: bool = False
    seconds: tuple[float, ...] = ()
    seed: int = 1


def stream_trace(shape: StreamShape) -> list[TraceJob]:
    """A trace of that shape, by arrival; equal shapes give equal traces."""
    rng = random.Random(shape.seed)
    priorities, shares = [c[0] for c in shape.classes], [c[1] for c in shape.classes]
    popularity = [1.0 / (rank + 1) ** shape.popularity for rank in range(shape.builds)]
    rng.shuffle(popularity)
    orgs = [f"org{rng.randrange(_ORGS)}" for _ in range(shape.builds)]
    own = [rng.choices(priorities, shares)[0] for _ in range(shape.builds)]
    builds = [*range(shape.builds)][: shape.jobs]
    builds += rng.choices(range(shape.builds), popularity, k=shape.jobs - len(builds))
    durations = [_duration(rng, shape) for _ in builds]
    span = (sum(durations) + shape.install_s * shape.builds) / (shape.slots * shape.load)
    begins = [rng.random() * span * (1.0 - shape.life) for _ in range(shape.builds)]
    lasts = shape.life * span or shape.push_s
    jobs = [
        TraceJob(
            arrival_s=round(begins[build] + rng.random() * lasts, 3),
            app_version_id=f"app{build % 7}-{build:04d}",
            test=f"tests/test_{build % 7}_{rng.randrange(150):03d}.py",
            duration_s=round(seconds, 3),
            priority=own[build] if shape.per_build else rng.choices(priorities, shares)[0],
            org_id=orgs[build],
        )
        for build, seconds in zip(builds, durations, strict=True)
    ]
    return sorted(jobs, key=lambda job: job.arrival_s)


def _duration(rng: random.Random, shape: StreamShape) -> float:
    if shape.seconds:
        return rng.choice(shape.seconds) * rng.lognormvariate(0, 0.1)
    return test_seconds(rng, CiShape())
