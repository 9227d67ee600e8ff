"""What a decision costs, and what a waiting job takes: a lab in the middle of its work.

`python -m bench decision_cost`: 2,000 builds, 1,000 slots, all busy; a test ends, another job arrives,
and the core decides. With 10,000 and with 1,000,000 jobs waiting.
"""

from __future__ import annotations

import gc
import random
import time
from itertools import count

import psutil

from qgjob.domain.placement.core import apply_event, decide
from qgjob.domain.placement.events import Effect, JobArrived, JobEnded, JobStarted, Release, SlotSeen
from qgjob.domain.placement.model import GroupKey, Job, LabState

_GROUPS, _SLOTS = 2000, 1000
_DECISIONS = 20_000
_WARM = 2_000
_INSTALL_S = 20.0


def run_decision_cost() -> dict[str, float]:
    """Milliseconds of a decision (a test ended), microseconds to note an arrival, bytes a waiting job.

    Times are of the processor: what else the machine does does not count.
    """
    figures: dict[str, float] = {}
    for waiting in (10_000, 1_000_000):
        lab = _Lab(waiting)
        took = lab.run()
        figures[f"ended_{waiting}_p50_ms"] = round(took[len(took) // 2] * 1e3, 3)
        figures[f"ended_{waiting}_p99_ms"] = round(took[len(took) * 99 // 100] * 1e3, 3)
        figures[f"ended_{waiting}_max_ms"] = round(took[-1] * 1e3, 3)
        figures[f"arrival_{waiting}_us"] = round(lab.arrival_s * 1e6, 1)
        figures[f"bytes_per_job_{waiting}"] = round(lab.bytes_per_job)
        del lab
        gc.collect()
    return figures


class _Lab:
    def __init__(self, waiting: int) -> None:
        self.chance = random.Random(1)
        self.state = LabState()
        self.now = 1000.0
        self.number = count()
        self.busy: list[tuple[str, str]] = []
        self.keys = [GroupKey("any", f"org{n % 20}", f"v{n:05d}") for n in range(_GROUPS)]
        self.tests = [f"tests/e2e/test_{n:03d}.py" for n in range(200)]
        gc.collect()
        before = psutil.Process().memory_info().rss
        began = time.process_time()
        for _ in range(waiting):
            apply_event(self.state, JobArrived(self.job()), self.now, [])
            self.now += 0.001
        self.arrival_s = (time.process_time() - began) / waiting
        self.bytes_per_job = (psutil.Process().memory_info().rss - before) / waiting
        for slot in range(_SLOTS):
            apply_event(
                self.state, SlotSeen(f"a{slot}/s", frozenset(), True, frozenset(), None, None), self.now, []
            )

    def job(self) -> Job:
        number = next(self.number)
        return Job(
            job_id=f"01J{number:023d}",
            group=self.chance.choice(self.keys),
            test=self.chance.choice(self.tests),
            priority=self.chance.choices((9, 5, 2), (15, 55, 30))[0],
            arrived_at=self.now,
            order=number,
        )

    def run(self) -> list[float]:
        """Seconds of each decision, sorted."""
        _, effects = decide(self.state, JobArrived(self.job()), self.now)
        self.take(effects)
        took: list[float] = []
        gc.collect()
        gc.freeze()
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
