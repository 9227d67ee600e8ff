"""Lower bounds of the makespan: no schedule, even one that knows the future, is shorter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import ceil
from typing import Final

from qgjob.simulate.trace import TraceJob

_HALVINGS: Final = 50


def makespan_lower_bound(jobs: Sequence[TraceJob], slots: int, install_s: float) -> float:
    """Seconds from the first arrival to the earliest possible end of the last job.

    The larger of two bounds. *Area*: for every arrival t, all that arrives from t on, with one install for
    each build, divided by the slots; builds that came before t may be in place, one on each slot.
    *Length*: no job ends before it arrived and ran, the first of its build not before an install.
    """
    if not jobs:
        return 0.0
    ordered = sorted(jobs, key=lambda job: job.arrival_s)
    start = ordered[0].arrival_s
    first: dict[tuple[str, str], float] = {}
    for job in ordered:
        first.setdefault(job.build, job.arrival_s)
    starting: dict[float, list[tuple[str, str]]] = {}
    for build, at in first.items():
        starting.setdefault(at, []).append(build)
    length = max(max(job.arrival_s, first[job.build] + install_s) + job.duration_s for job in ordered)
    area, work, new = 0.0, 0.0, 0
    later: set[tuple[str, str]] = set()
    for at, together in groupby(reversed(ordered), key=lambda job: job.arrival_s):
        for job in together:
            work += job.duration_s
            later.add(job.build)
        new += sum(1 for build in starting.pop(at, ()) if build in later)
        old = len(later) - new
        area = max(area, at + (work + install_s * (new + max(0, old - slots))) / slots)
    return max(area, length) - start


def split_lower_bound(jobs: Sequence[TraceJob], slots: int, install_s: float) -> float:
    """A closer bound than `makespan_lower_bound`: it counts what a build needs that one slot cannot do alone.

    A build with more work than one slot can do until then needs as many slots as that takes, each with an
    install, and all of it must fit on the slots.
    """
    if not jobs:
        return 0.0
    first: dict[tuple[str, str], float] = {}
    work: dict[tuple[str, str], float] = {}
    for job in jobs:
        first[job.build] = min(first.get(job.build, job.arrival_s), job.arrival_s)
        work[job.build] = work.get(job.build, 0.0) + job.duration_s
    start, total = min(first.values()), sum(work.values())
    least = start + makespan_lower_bound(jobs, slots, install_s)

    def fits(until: float) -> bool:
        installs = 0
        for build, at in first.items():
            room = until - at - install_s
            if room <= 0:
                return False
            installs += max(1, ceil(work[build] / room - 1e-9))
        return total + install_s * installs <= slots * (until - start) + 1e-9

    if fits(least):
        return least - start
    low, high = least, least + 1.0
    while not fits(high):
        high += high - start
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return low - start
