"""What a decision costs, and what a waiting job takes: a lab in the middle of its work.

`python -m bench decision_cost`: 2,000 builds, 1,000 slots, all busy; a test ends, another job arrives,
and the core decides. With 10,000 and with 1,000,000 jobs waiting; with more organisations, kinds of slots,
limits and pauses.
"""

from __future__ import annotations

import gc
import random
import time
from dataclasses import dataclass
from itertools import count
from typing import Final

import psutil

from bus_schemas.jobs import capability_of
from qgjob.domain.placement.core import apply_event, decide
from qgjob.domain.placement.events import (
    Effect,
    JobArrived,
    JobEnded,
    JobStarted,
    Release,
    RulesChanged,
    SlotSeen,
)
from qgjob.domain.placement.model import GroupKey, Job, LabState
from qgjob.domain.placement.rules import Pause, Rules
from qgjob.serve import calm_collector

_GROUPS, _SLOTS = 2000, 1000
_DECISIONS = 10_000
_WARM = 2_000
_INSTALL_S = 20.0


@dataclass(frozen=True)
class _Shape:
    """What waits in a lab, and for whom."""

    waiting: int = 10_000
    orgs: int = 20
    flood: float = 0.0
    """The share of the jobs that one organisation sends."""
    weighted: int = 0
    """How many organisations have a weight."""
    paused: int = 0
    """How many organisations are paused."""
    limit: int | None = None
    """How many jobs of each organisation may be in flight."""
    max_parallel: int | None = None
    """The same of each run; a build has one."""
    kinds: int = 1
    """How many kinds of slots there are,"""
    capabilities: int = 1
    """and how many sets of labels jobs ask for."""


_SHAPES: Final = {
    "10000": _Shape(),
    "1000000": _Shape(1_000_000),
    "1_org": _Shape(orgs=1),
    "200_orgs": _Shape(orgs=200),
    "2000_orgs": _Shape(orgs=2000),
    "1000000_of_2000_orgs": _Shape(1_000_000, orgs=2000),
    "flood_beside_2000_orgs": _Shape(20_000, orgs=2000, flood=0.9),
    "weights_of_200_orgs": _Shape(orgs=200, weighted=200),
    "weights_of_2000_orgs": _Shape(orgs=2000, weighted=1000),
    "paused_1000_of_2000_orgs": _Shape(orgs=2000, paused=1000),
    "limits_of_200_orgs": _Shape(orgs=200, limit=5),
    "limits_of_runs": _Shape(orgs=200, max_parallel=2),
    "50_kinds_200_capabilities": _Shape(orgs=200, kinds=50, capabilities=200),
}


def run_decision_cost() -> dict[str, float]:
    """Milliseconds of a decision (a test ended), microseconds to note an arrival, bytes a waiting job.

    Times are of the processor: what else the machine does does not count.
    """
    figures: dict[str, float] = {}
    for name, shape in _SHAPES.items():
        lab = _Lab(shape)
        took = lab.run()
        figures[f"ended_{name}_p50_ms"] = round(took[len(took) // 2] * 1e3, 3)
        figures[f"ended_{name}_p99_ms"] = round(took[len(took) * 99 // 100] * 1e3, 3)
        figures[f"ended_{name}_max_ms"] = round(took[-1] * 1e3, 3)
        figures[f"arrival_{name}_us"] = round(lab.arrival_s * 1e6, 1)
        if shape in {_Shape(), _Shape(1_000_000)}:
            figures[f"bytes_per_job_{name}"] = round(lab.bytes_per_job)
        del lab
        gc.collect()
    return figures


class _Lab:
    def __init__(self, shape: _Shape) -> None:
        self.chance = random.Random(1)
        self.shape = shape
        self.state = LabState()
        self.now = 1000.0
        self.number = count()
        self.busy: list[tuple[str, str]] = []
        kinds, capabilities = self.labels()
        self.keys = [
            GroupKey(capabilities[n % len(capabilities)], f"org{n % shape.orgs}", f"v{n:05d}")
            for n in range(_GROUPS)
        ]
        self.tests = [f"tests/e2e/test_{n:03d}.py" for n in range(200)]
        gc.collect()
        before = psutil.Process().memory_info().rss
        began = time.process_time()
        for _ in range(shape.waiting):
            apply_event(self.state, JobArrived(self.job()), self.now, [])
            self.now += 0.001
        self.arrival_s = (time.process_time() - began) / shape.waiting
        self.bytes_per_job = (psutil.Process().memory_info().rss - before) / shape.waiting
        rules = self.rules()
        apply_event(self.state, RulesChanged(rules), self.now, [])
        paused = {pause.org_id for pause in rules.pauses}
        self.keys = [key for key in self.keys if key.org_id not in paused]  # of the others jobs keep arriving
        for slot in range(_SLOTS):
            labels = kinds[slot % len(kinds)]
            apply_event(
                self.state, SlotSeen(f"a{slot}/s", labels, True, frozenset(), None, None), self.now, []
            )

    def labels(self) -> tuple[list[frozenset[str]], list[str]]:
        """The labels of each kind of slot, and the capabilities that jobs ask for: each fits some kind."""
        if self.shape.kinds == 1:
            return [frozenset()], ["any"]
        labels = [f"label{n}" for n in range(12)]
        kinds = [
            frozenset(self.chance.sample(labels, self.chance.randint(2, 8))) for _ in range(self.shape.kinds)
        ]
        capabilities: set[str] = set()
        while len(capabilities) < self.shape.capabilities:
            kind = sorted(self.chance.choice(kinds))
            asked = self.chance.sample(kind, self.chance.randint(1, min(3, len(kind))))
            capabilities.add(capability_of(tuple(asked)))
        return kinds, sorted(capabilities)

    def rules(self) -> Rules:
        orgs, shape = [f"org{n}" for n in range(self.shape.orgs)], self.shape
        return Rules(
            pauses=tuple(Pause(org) for org in orgs[: shape.paused]),
            limits={} if shape.limit is None else dict.fromkeys(orgs, shape.limit),
            weights={org: self.chance.choice((0.1, 0.5, 2.0, 7.5)) for org in orgs[: shape.weighted]},
        )

    def job(self) -> Job:
        number = next(self.number)
        key = self.chance.choice(self.keys)
        if self.shape.flood and self.chance.random() < self.shape.flood:
            key = key._replace(org_id="flood")
        return Job(
            job_id=f"01J{number:023d}",
            group=key,
            test=self.chance.choice(self.tests),
            priority=self.chance.choices((9, 5, 2), (15, 55, 30))[0],
            arrived_at=self.now,
            order=number,
            run_id="" if self.shape.max_parallel is None else f"r_{key.org_id}_{key.app_version_id}",
            max_parallel=self.shape.max_parallel,
        )

    def run(self) -> list[float]:
        """Seconds of each decision, sorted."""
        _, effects = decide(self.state, JobArrived(self.job()), self.now)
        self.take(effects)
        took: list[float] = []
        calm_collector()  # as a leader's is
        for number in range(_WARM + _DECISIONS):
            self.now += 0.1
            place = self.chance.randrange(len(self.busy))
            self.busy[place], self.busy[-1] = self.busy[-1], self.busy[place]
            job_id, slot = self.busy.pop()
            ended = JobEnded(
                job_id, 1, slot, self.chance.lognormvariate(4.2, 0.7), _INSTALL_S, installed=False, good=True
            )
            began = time.process_time()
            _, effects = decide(self.state, ended, self.now)
            if number >= _WARM:
                took.append(time.process_time() - began)
            self.take(effects)
            _, effects = decide(self.state, JobArrived(self.job()), self.now)
            self.take(effects)
        gc.unfreeze()
        return sorted(took)

    def take(self, effects: list[Effect]) -> None:
        """The slots start what was released for them."""
        for effect in effects:
            if isinstance(effect, Release):
                apply_event(self.state, JobStarted(effect.job.job_id, 1, effect.slot), self.now, [])
                self.busy.append((effect.job.job_id, effect.slot))
