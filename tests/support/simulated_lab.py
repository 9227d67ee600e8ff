"""A lab on a virtual clock, whose tests take a minute: what the placement policy makes of it."""

from __future__ import annotations

from typing import Any

from qgjob.domain.placement.core import decide
from qgjob.domain.placement.events import Event, JobArrived, JobEnded, JobStarted, Release, SlotSeen
from qgjob.domain.placement.model import GroupKey, Job, LabState

TEST_S = 60.0
INSTALL_S = 20.0


class SimulatedLab:
    """Slots that run tests of a minute, one at a time, with an install where the build is another."""

    def __init__(self, slots: int, *, install_s: float = INSTALL_S) -> None:
        self.install_s = install_s
        self.state, self.now = LabState(), 0.0
        self.ends: list[tuple[float, str, Job]] = []
        self.starts: list[tuple[float, Job]] = []
        self.builds: dict[str, Any] = {}
        self.state.estimates.any_install.add(install_s)
        for number in range(slots):
            self.feed(SlotSeen(f"a/s{number}", frozenset(), True, frozenset(), None, None))

    def feed(self, event: Event) -> None:
        _, effects = decide(self.state, event, self.now)
        for effect in effects:
            if isinstance(effect, Release):
                one, slot = effect.job, effect.slot
                install_s = 0.0 if self.builds.get(slot) == one.group else self.install_s
                self.builds[slot] = one.group
                self.starts.append((self.now, one))
                self.ends.append((self.now + install_s + TEST_S, slot, one))
                self.feed(JobStarted(one.job_id, one.attempt, slot))

    def step(self) -> None:
        """Until the next test ends."""
        self.ends.sort(key=lambda end: end[:2])
        self.now, slot, one = self.ends.pop(0)
        self.feed(JobEnded(one.job_id, 1, slot, TEST_S, None, installed=False, good=True))

    def add(self, number: int, *, priority: int, app: str, org: str = "o") -> Job:
        one = Job(f"j{number}", GroupKey("any", org, app), "t", priority, self.now, number, expected_s=TEST_S)
        self.feed(JobArrived(one))
        return one


def usually_waits(lab: SimulatedLab, seconds: float) -> None:
    """As if urgent jobs had waited so long with first come, first served."""
    lab.state.stats.of("any", frozenset()).fcfs.waits[0].add(seconds)
