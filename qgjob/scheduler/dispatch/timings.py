"""How long things take within a reign, counted in histograms."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.events import Attempt
from bus_schemas.subjects import PRIORITY_CLASSES
from bus_schemas.timings import HistogramView, TimingsAnswer, TimingsRequest
from qgjob.domain.placement.model import Job

_WAITS: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
_TESTS: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_INSTALLS: Final = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_ROUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Histogram:
    """Counts durations by the first bound that each does not exceed."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took so long."""
        seconds = max(0.0, seconds)  # clocks of two machines
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum_s += seconds

    def view(self) -> HistogramView:
        """As it is told."""
        return HistogramView(bounds=self._bounds, counts=tuple(self._counts), sum_s=self._sum_s)


@dataclass(slots=True)
class Timings:
    """What is counted; see `TimingsAnswer` for what each of them is."""

    waits: tuple[Histogram, ...] = field(
        default_factory=lambda: tuple(Histogram(_WAITS) for _ in PRIORITY_CLASSES)
    )
    tests: Histogram = field(default_factory=lambda: Histogram(_TESTS))
    installs: Histogram = field(default_factory=lambda: Histogram(_INSTALLS))
    rounds: Histogram = field(default_factory=lambda: Histogram(_ROUNDS))

    def started(self, job: Job, now: float) -> None:
        """A slot has a job, which could start since it arrived."""
        self.waits[job.level].add(now - job.arrived_at)

    def ended(self, result: Attempt) -> None:
        """An attempt is over, however it went."""
        if result.duration_s is not None:
            self.tests.add(result.duration_s)
        if result.installed and result.install_s is not None:
            self.installs.add(result.install_s)

    async def tell(self, data: bytes) -> TimingsAnswer:
        """The control verb `timings`."""
        TimingsRequest.decode(data)
        waits = zip(PRIORITY_CLASSES, self.waits, strict=True)
        return TimingsAnswer(
            waits={str(name): histogram.view() for name, histogram in waits},
            tests=self.tests.view(),
            installs=self.installs.view(),
            rounds=self.rounds.view(),
        )
