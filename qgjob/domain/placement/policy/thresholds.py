"""How long is too long to wait, and how much work an install must bring, by how long jobs wait under FCFS.

Where medium jobs wait no longer than an install and a test under FCFS (first come, first served), they may
wait hardly longer with us, so installs must be made. Where they wait for many of those, there is time to wait
for slots that have the build. So every threshold exists for short and for long waits, and is interpolated
between them by what is measured. The figures were found by search (`docs/placement.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from qgjob.domain.placement.policy.ramp import Ramp, interpolate
from qgjob.domain.placement.stats import CapabilityStats
from qgjob.domain.placement.waits import WINDOW

Pair = tuple[float, float]
"""For medium and for low builds."""

_USUAL_QUANTILE: Final = 0.95
"""The quantile of medium waits under FCFS that decides between short and long waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """All thresholds of the policy.

    A *usual* wait is a quantile of the waits under FCFS. A build is *served* when a slot works on it. The
    *wait ratio* is our 95 % quantile of waits over that under FCFS. Work is counted in installs of the build.
    """

    urgent_share: float
    """The share of the usual urgent wait that urgent jobs may wait,"""
    urgent_tests: float
    """but at most an install and so many tests."""
    urgent_late_share: float
    """The share of the urgent jobs of a build that may start later than that."""
    evict_unserved: Ramp
    """By wait ratio: an unserved medium build evicts low work when its last job would wait longer than so
    many usual waits,"""
    evict_served: Ramp
    """a served one than so many."""
    slack_medium: Ramp
    """By wait ratio: a medium build gets slots whose build nobody waits for when its last job would wait
    longer than so many usual waits,"""
    slack_low: Ramp
    """a low build than so many."""
    due_work: Ramp
    """By wait ratio: the work for each slot that a served build must have to get another one when it is
    due."""
    min_work: Pair
    """The work for each slot that a served build must have to get another one when it is not due."""
    install_cost: Pair
    """How many times its own time such an install costs those who wait for other builds."""
    min_gain: Ramp
    """By load: what such an install must save in any case, as many times its own seconds of waiting. Devices
    wear, and the slot may soon be wanted for urgent work."""
    load_factor: Ramp
    """By load: the share of `min_work` and `install_cost` that counts."""
    unhurried_share: float
    """A medium build whose last job would wait less than so many usual waits gets no further slot; times the
    load factor."""
    cold_start_rounds: float
    """While few waits are known, the usual wait is at least so many installs and tests."""


SHORT_WAITS: Final = Thresholds(
    urgent_share=0.917,
    urgent_tests=2.2,
    urgent_late_share=0.2,
    evict_unserved=(0.694, 0.473, 1.05, 0.252),
    evict_served=(0.896, 3.04, 1.34, 0.578),
    slack_medium=(0.694, 0.945, 0.941, 1.05),
    slack_low=(0.715, 0.588, 0.825, 0.735),
    due_work=(0.833, 1.1, 1.11, 0.57),
    min_work=(5.7, 7.7),
    install_cost=(54.6, 41.2),
    min_gain=(0.4, 0.0, 1.2, 0.0),
    load_factor=(0.4, 0.05, 0.82, 1.0),
    unhurried_share=0.819,
    cold_start_rounds=0.0,
)
"""Where medium jobs wait hardly longer than an install and a test under FCFS."""

LONG_WAITS: Final = Thresholds(
    urgent_share=0.907,
    urgent_tests=3.8,
    urgent_late_share=0.15,
    evict_unserved=(1.1, 1.88, 1.23, 0.488),
    evict_served=(1.12, 1.38, 1.34, 1.23),
    slack_medium=(0.997, 0.825, 1.23, 0.75),
    slack_low=(0.715, 0.918, 0.825, 0.918),
    due_work=(0.833, 20.0, 1.11, 7.7),
    min_work=(7.5, 5.1),
    install_cost=(12.8, 49.1),
    min_gain=(0.4, 0.0, 1.2, 80.0),
    load_factor=(0.4, 0.05, 1.2, 1.0),
    unhurried_share=0.0,
    cold_start_rounds=7.3,
)
"""Where they wait for many installs and tests."""


def _mix(share: float) -> Thresholds:
    """The thresholds so far from those for short waits (0) to those for long ones (1)."""

    def mix(short: Any, long: Any) -> Any:
        if not isinstance(short, float):
            return tuple(mix(a, b) for a, b in zip(short, long, strict=True))
        return short * (1.0 - share) + long * share

    mixed: dict[str, Any] = {
        f.name: mix(getattr(SHORT_WAITS, f.name), getattr(LONG_WAITS, f.name)) for f in fields(Thresholds)
    }
    return Thresholds(**mixed)


_STEPS: Final = 32
_INTERPOLATED: Final = tuple(_mix(step / _STEPS) for step in range(_STEPS + 1))
_LONG_SHARE: Final[Ramp] = (3.2, 0.0, 6.5, 1.0)
"""By the usual medium wait in installs and tests: the share of the thresholds for long waits."""
_COLD_START_SHARE: Final = 1.0
"""That share while no wait is known."""
_KNOWN_PER_SLOT: Final = 6.4
"""From so many known waits a slot on, the measured share counts in full; up to half as many, not at all."""
FEW_PER_SLOT: Final = 6.3
"""Fewer known waits a slot than that are too few for a quantile."""


def thresholds(stats: CapabilityStats, round_s: float, now: float) -> Thresholds:
    """The thresholds for the jobs of a capability; `round_s`: expected seconds of an install and a test."""
    usual_s = stats.usual_wait_s(1, _USUAL_QUANTILE, now)
    if usual_s is None:
        share = _COLD_START_SHARE
    else:
        known = len(stats.fcfs.waits[1]) / min(WINDOW, max(1.0, _KNOWN_PER_SLOT * stats.slots))
        confidence = min(1.0, max(0.0, 2.0 * known - 1.0))
        measured = interpolate(usual_s / max(round_s, 1e-3), _LONG_SHARE)
        share = _COLD_START_SHARE + confidence * (measured - _COLD_START_SHARE)
    return _INTERPOLATED[round(share * _STEPS)]
