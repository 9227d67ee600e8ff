"""What first come, first served would have made of the same jobs: an online simulation.

The policy is measured against it: how long urgent and ordinary work would have waited says how much
time there is to wait for a slot that has the build, and whom the policy makes wait too long.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final

from qgjob.domain.placement.waits import Waits

if TYPE_CHECKING:
    from qgjob.domain.placement.model import GroupKey, Job

_MOST_AT_ONCE: Final = 256
"""How many starts one step makes at most: a long pause is made up for little by little."""
_MOST_WAITING: Final = 50_000
"""Of each class: a backlog beyond that is not simulated, its waits tell nothing new."""

Labels = frozenset[str]


@dataclass(slots=True, eq=False)
class Line:
    """The jobs that need the same labels: who would still wait, and how long the last ones waited."""

    labels: Labels
    jobs: tuple[deque[tuple[float, GroupKey, float]], ...] = field(
        default_factory=lambda: (deque(), deque(), deque())
    )
    """By level: when it came, its group, and the seconds its test is expected to take."""
    waits: tuple[Waits, Waits, Waits] = field(default_factory=lambda: (Waits(), Waits(), Waits()))

    def usual_s(self, level: int, share: float, now: float) -> float | None:
        """How long a job of a level usually waits: this share of the last ones did not wait longer.

        More, if the next one waits longer already; None before there are any.
        """
        waited, jobs = self.waits[level].quantile(share), self.jobs[level]
        if waited is None:
            return None
        return max(waited, now - jobs[0][0]) if jobs else waited


@dataclass(slots=True, eq=False)
class Shadow:
    """As many slots as the lab has: each takes the most urgent class, then the oldest, that it can run.

    Slots are alike when they have the same of those labels that anybody ever asked for.
    """

    lines: dict[str, Line] = field(default_factory=dict[str, Line])
    """By capability."""
    kinds: dict[Labels, list[tuple[float, int, GroupKey | None]]] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """Alike slots, a heap each: when it is free again, its number, and whose build it has."""
    wanted: Labels = frozenset()
    _made: int = 0

    def line(self, capability: str, labels: Labels) -> Line:
        """The line of a capability, made when there is none."""
        line = self.lines.get(capability)
        if line is None:
            line = self.lines[capability] = Line(labels)
        return line

    def arrived(self, job: Job, labels: Labels, seconds: float) -> bool:
        """A job came that may start. Says whether the slots must be sorted into kinds anew."""
        jobs = self.line(job.group.capability, labels).jobs[job.level]
        if len(jobs) < _MOST_WAITING:
            jobs.append((job.arrived_at, job.group, seconds))
        return not labels <= self.wanted

    def equip(self, slots: Iterable[Labels], now: float) -> None:
        """Have as many slots of each kind as the lab has now; `slots` are the labels of each."""
        self.wanted = frozenset().union(*(line.labels for line in self.lines.values()))
        numbers = Counter(labels & self.wanted for labels in slots)
        spare = sorted(entry for kind in list(self.kinds) for entry in self._surplus(kind, numbers[kind]))
        for kind, number in numbers.items():
            slots_alike = self.kinds.setdefault(kind, [])
            while len(slots_alike) < number:
                if spare:
                    heappush(slots_alike, spare.pop(0))
                else:
                    self._made += 1
                    heappush(slots_alike, (now, self._made, None))

    def _surplus(self, kind: Labels, number: int) -> Iterator[tuple[float, int, GroupKey | None]]:
        slots = self.kinds[kind]
        while len(slots) > number:
            yield heappop(slots)
        if not slots:
            del self.kinds[kind]

    def advance(self, now: float, install_s: Callable[[str, str], float]) -> None:
        """Let the slots take what they would have taken until now."""
        budget = _MOST_AT_ONCE
        for kind, slots in self.kinds.items():
            while slots[0][0] <= now and budget:
                best, best_level = self._next(kind)
                if best is None:
                    break
                budget -= 1
                arrived, group, seconds = best.jobs[best_level].popleft()
                free, number, installed = slots[0]
                start = max(free, arrived)
                if installed is None or installed[1:] != group[1:]:
                    start += install_s(group.org_id, group.app_version_id)
                best.waits[best_level].add(start - arrived)
                heapreplace(slots, (start + seconds, number, group))

    def _next(self, kind: Labels) -> tuple[Line | None, int]:
        for level in range(3):
            best: Line | None = None
            for line in self.lines.values():
                jobs = line.jobs[level]
                if jobs and line.labels <= kind and (best is None or jobs[0][0] < best.jobs[level][0][0]):
                    best = line
            if best is not None:
                return best, level
        return None, 0
