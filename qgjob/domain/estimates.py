"""Learned durations: exponentially weighted means, with priors for what was never seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeVar

TEST_PRIOR_S: Final = 120.0
INSTALL_PRIOR_S: Final = 20.0
ALPHA: Final = 0.3
_MAX_KEYS: Final = 200_000
_K = TypeVar("_K")


@dataclass(slots=True)
class Ewma:
    """A mean that forgets: each sample moves it by `ALPHA` of the difference."""

    value: float
    count: int = 0

    def add(self, sample: float) -> None:
        """Take a sample into account; the first replaces the prior."""
        self.value = sample if self.count == 0 else self.value + ALPHA * (sample - self.value)
        self.count += 1


@dataclass(slots=True)
class Estimates:
    """Expected seconds of a test, of a group's tests, and of installing a build."""

    tests: dict[tuple[str, str], Ewma] = field(default_factory=dict[tuple[str, str], Ewma])
    """By (organisation, test)."""
    groups: dict[tuple[str, str, str], Ewma] = field(default_factory=dict[tuple[str, str, str], Ewma])
    installs: dict[tuple[str, str], Ewma] = field(default_factory=dict[tuple[str, str], Ewma])
    """By (organisation, build)."""
    any_install: Ewma = field(default_factory=lambda: Ewma(INSTALL_PRIOR_S))

    def test(self, org: str, test: str) -> float:
        """How long one test is expected to run."""
        known = self.tests.get((org, test))
        return known.value if known else TEST_PRIOR_S

    def group(self, key: tuple[str, str, str]) -> float:
        """How long a test of the group is expected to run."""
        known = self.groups.get(key)
        return known.value if known else TEST_PRIOR_S

    def install(self, org: str, app: str) -> float:
        """How long installing a build is expected to take."""
        known = self.installs.get((org, app))
        return known.value if known else self.any_install.value

    def ran(self, group: tuple[str, str, str], test: str, seconds: float) -> None:
        """A test of a group ran that long."""
        _add(self.tests, (group[1], test), TEST_PRIOR_S, seconds)
        _add(self.groups, group, TEST_PRIOR_S, seconds)

    def installed(self, org: str, app: str, seconds: float) -> None:
        """A build took that long to install."""
        _add(self.installs, (org, app), INSTALL_PRIOR_S, seconds)
        self.any_install.add(seconds)


def _add(table: dict[_K, Ewma], key: _K, prior: float, sample: float) -> None:
    mean = table.get(key)
    if mean is None:
        if len(table) >= _MAX_KEYS:
            table.pop(next(iter(table)))
        mean = table[key] = Ewma(prior)
    mean.add(sample)
