"""Learned durations: exponentially weighted means, with priors for what was never seen.

A single sample says little: it is taken with what is known of others like it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

TEST_PRIOR_S: Final = 120.0
INSTALL_PRIOR_S: Final = 20.0
ALPHA: Final = 0.3
"""The weight of a new sample."""
SLOW_ALPHA: Final = 0.05
"""The same for means of many builds or tests: of an organisation's installs, and of all."""
_PRIOR_SAMPLES: Final = 4.0
"""The mean of an organisation's installs counts like so many installs of the build itself."""
_MAX_KEYS: Final = 200_000
_K = TypeVar("_K")

Row = tuple[str, str, float, int]
"""(organisation, test or build, seconds, samples)."""


@dataclass(slots=True)
class Ewma:
    """An exponentially weighted mean; the first samples weigh as in a plain mean, later ones `alpha`."""

    value: float
    count: int = 0
    alpha: float = ALPHA

    def add(self, sample: float) -> None:
        """Take a sample into account; the first replaces the prior."""
        self.count += 1
        share = max(self.alpha, 1 / self.count)
        self.value = share * sample + (1 - share) * self.value


@dataclass(slots=True)
class Estimates:
    """Expected seconds of a test, of a group's tests, and of installing a build."""

    tests: dict[tuple[str, str], Ewma] = field(default_factory=dict[tuple[str, str], Ewma])
    """By (organisation, test)."""
    groups: dict[tuple[str, str, str], Ewma] = field(default_factory=dict[tuple[str, str, str], Ewma])
    installs: dict[tuple[str, str], Ewma] = field(default_factory=dict[tuple[str, str], Ewma])
    """By (organisation, build)."""
    org_installs: dict[str, Ewma] = field(default_factory=dict[str, Ewma])
    """An organisation's installs, of whichever build."""
    any_install: Ewma = field(default_factory=lambda: Ewma(INSTALL_PRIOR_S, alpha=SLOW_ALPHA))
    orgs: dict[str, Ewma] = field(default_factory=dict[str, Ewma])
    """An organisation's tests, whichever: what a build that was never tested is expected to need."""
    any_test: Ewma = field(default_factory=lambda: Ewma(TEST_PRIOR_S, alpha=SLOW_ALPHA))
    error: Ewma = field(default_factory=lambda: Ewma(0.0, alpha=SLOW_ALPHA))
    """By which share of what was expected tests take longer or less long on average; 0 before any ended."""
    samples: int = 0
    """How many samples were learned from."""

    def known_of(self, org: str, tests: Sequence[str]) -> float | None:
        """How long several tests are expected to run one after the other; None when none is known."""
        known = [mean.value for test in tests if (mean := self.tests.get((org, test)))]
        # For jobs without an estimate assume that they are like the others.
        return sum(known) * len(tests) / len(known) if known else None

    def group(self, key: tuple[str, str, str]) -> float:
        """How long a test of the group is expected to run."""
        known = self.groups.get(key) or self.orgs.get(key[1]) or self.any_test
        return known.value

    def install(self, org: str, app: str) -> float:
        """How long installing a build is expected to take."""
        others = (self.org_installs.get(org) or self.any_install).value
        known = self.installs.get((org, app))
        if known is None:
            return others
        return (known.count * known.value + _PRIOR_SAMPLES * others) / (known.count + _PRIOR_SAMPLES)

    def export(self) -> tuple[list[Row], list[Row]]:
        """All learned durations of tests and of installs, the latest last, to be stored."""
        return _rows(self.tests), _rows(self.installs)

    def load(
        self, tests: Iterable[Row], installs: Iterable[Row], any_install: tuple[float, int] | None
    ) -> None:
        """Load what `export` returned; `any_install`: the mean of all installs, and its number of samples."""
        self.tests.update({(org, test): Ewma(value, count) for org, test, value, count in tests})
        self.installs.update({(org, app): Ewma(value, count) for org, app, value, count in installs})
        for (org, _), mean in self.tests.items():
            _add(self.orgs, org, TEST_PRIOR_S, mean.value)
            self.any_test.add(mean.value)
        for (org, _), mean in self.installs.items():
            _add(self.org_installs, org, INSTALL_PRIOR_S, mean.value, alpha=SLOW_ALPHA)
        if any_install is not None:
            self.any_install = Ewma(*any_install, alpha=SLOW_ALPHA)

    def add_run(
        self,
        group: tuple[str, str, str],
        test: str,
        seconds: float,
        *,
        files: Sequence[tuple[str, float]] | None = None,
    ) -> None:
        """Learn how long a test of a group ran; of a shard, which is no test, how long its `files` did."""
        for name, own in [(test, seconds)] if files is None else files:
            _add(self.tests, (group[1], name), TEST_PRIOR_S, own)
        _add(self.groups, group, TEST_PRIOR_S, seconds)
        _add(self.orgs, group[1], TEST_PRIOR_S, seconds)
        self.any_test.add(seconds)
        self.samples += 1

    def compare(self, expected_s: float, ran_s: float) -> None:
        """Learn how exact it was what was expected of a test."""
        if expected_s > 0.0:
            self.error.add(min(1.0, abs(ran_s - expected_s) / expected_s))

    def add_install(self, org: str, app: str, seconds: float) -> None:
        """Learn how long a build took to install."""
        _add(self.installs, (org, app), INSTALL_PRIOR_S, seconds)
        _add(self.org_installs, org, INSTALL_PRIOR_S, seconds, alpha=SLOW_ALPHA)
        self.any_install.add(seconds)
        self.samples += 1


def _rows(table: dict[tuple[str, str], Ewma]) -> list[Row]:
    return [(org, name, round(mean.value, 4), mean.count) for (org, name), mean in table.items()]


def _add(table: dict[_K, Ewma], key: _K, prior: float, sample: float, *, alpha: float = ALPHA) -> None:
    mean = table.get(key)
    if mean is not None:
        table[key] = table.pop(key)  # the latest learned stands last, and goes last
    else:
        if len(table) >= _MAX_KEYS:
            table.pop(next(iter(table)))
        mean = table[key] = Ewma(prior, alpha=alpha)
    mean.add(sample)
