"""Time series in preallocated rings: a value a second, rolled up to 10 s and to a minute."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

STEPS_S: Final = (1, 10, 60)
CAPACITY: Final = 720
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class Ring:
    """The last values, in order; as long as it was made."""

    def __init__(self, capacity: int = CAPACITY, *, zeros: int = 0) -> None:
        self._values = array("d", bytes(8 * capacity))
        self._end = zeros

    def add(self, value: float) -> None:
        """Take in the next value."""
        self._values[self._end % len(self._values)] = value
        self._end += 1

    def __len__(self) -> int:
        return min(self._end, len(self._values))

    def last(self, count: int) -> list[float]:
        """Up to `count` values, the newest last."""
        count = min(count, len(self))
        size = len(self._values)
        return [self._values[i % size] for i in range(self._end - count, self._end)]


class Series:
    """One quantity over time: the mean of each second, each 10 s, each minute.

    It was nothing in the `before` seconds that are over: so that charts of several have one time axis,
    all of them begin at the same second.
    """

    def __init__(self, before: int = 0) -> None:
        self._rings = tuple(Ring(zeros=before // step) for step in STEPS_S)
        self._sums = [0.0] * len(STEPS_S)
        self._counts = [before % step for step in STEPS_S]
        self._seen = before

    def add(self, value: float) -> None:
        """Take in the value of the next second."""
        self._seen += 1
        for level, step in enumerate(STEPS_S):
            self._sums[level] += value
            self._counts[level] += 1
            if self._counts[level] == step:
                self._rings[level].add(self._sums[level] / step)
                self._sums[level] = 0.0
                self._counts[level] = 0

    @property
    def seen(self) -> int:
        """For how many seconds there are values."""
        return self._seen

    def step_of(self, count: int) -> int:
        """How many seconds one of so many columns stands for."""
        return next((step for step in STEPS_S if self._seen <= 2 * count * step), STEPS_S[-1])

    def plot(self, count: int) -> list[float]:
        """What to draw in so many columns: seconds at first, then steps of 10 s, then minutes.

        The last step is the one that is not over yet.
        """
        level = STEPS_S.index(self.step_of(count))
        values = self._rings[level].last(count)
        if self._counts[level]:
            values.append(self._sums[level] / self._counts[level])
        return values[-count:] if count else []


class Rate:
    """How often something happens a minute, from the seconds in which it happened.

    A replay hears minutes at once: when it hears something says nothing there.
    """

    WINDOW_S: Final = 60

    def __init__(self, since: float) -> None:
        self._since = since
        """What happened before that was not counted."""
        self._seconds: dict[int, int] = {}

    def record(self, at: float) -> None:
        """It happened."""
        self._seconds[int(at)] = self._seconds.get(int(at), 0) + 1
        if len(self._seconds) > 2 * self.WINDOW_S:
            begin = int(at) - self.WINDOW_S
            self._seconds = {second: n for second, n in self._seconds.items() if second >= begin}

    def per_minute(self, now: float) -> float:
        """How often, going by the last minute or as much of it as was seen."""
        begin, end = int(now) - self.WINDOW_S, int(now)
        happened = sum(n for second, n in self._seconds.items() if begin < second <= end)
        return happened * 60 / min(self.WINDOW_S, max(1.0, now - self._since))


class History:
    """What the overview plots; `since` is when it begins."""

    MAX_GAP_S: Final = 30
    MAX_CAPABILITIES: Final = 16
    """Of more, those go of which least waits."""

    def __init__(self, since: float) -> None:
        self.depths: dict[str, Series] = {name: Series() for name in ("high", "medium", "low")}
        self.capabilities: dict[str, Series] = {}
        """How many jobs wait, by the labels that they need; those of which some waited."""
        self.running = Series()
        self.ended = Series()
        self.ends = Rate(since)
        self._ended = 0
        self._second: int | None = None

    def count_end(self, at: float) -> None:
        """A job ended."""
        self._ended += 1
        self.ends.record(at)

    def sample(
        self,
        monotonic: float,
        depths: Mapping[str, int],
        running: int,
        capabilities: Mapping[str, int] = _NONE,
    ) -> bool:
        """Take in the present second, once; returns whether there was a new one."""
        second = int(monotonic)
        if self._second is not None and second <= self._second:
            return False
        # After a sleep of the machine the seconds in between were not seen: hold the last value.
        missed = 0 if self._second is None else min(second - self._second - 1, self.MAX_GAP_S)
        self._second = second
        self._add_capabilities(capabilities)
        for _ in range(missed + 1):
            for name, series in self.depths.items():
                series.add(depths.get(name, 0))
            for name, series in self.capabilities.items():
                series.add(capabilities.get(name, 0))
            self.running.add(running)
            self.ended.add(self._ended)
            self._ended = 0
        return True

    def _add_capabilities(self, capabilities: Mapping[str, int]) -> None:
        known = self.capabilities
        for name in capabilities:
            if name not in known:
                known[name] = Series(before=self.running.seen)
        while len(known) > self.MAX_CAPABILITIES:
            del known[min(known, key=lambda name: (capabilities.get(name, 0), name))]
