"""On what terms work gets slots and installs: hurried ones and patient ones, and all between them.

Where jobs wait no longer than an install and a test with first come, first served, each may wait hardly
longer with us, and installs must be made. Where they wait for many of those, there is time to wait for slots
that have the build. So everything that says how long is too long stands here twice, and what is measured says
where between the two a lab is now. The figures were found by search (`docs/placement.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from qgjob.domain.placement.measures import Record
from qgjob.domain.placement.policy.scale import Slope, between
from qgjob.domain.placement.waits import KEPT

Pair = tuple[float, float]
_USUAL: Final = 0.95
"""The quantile of the waits of medium work that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long is too long, and what an install must bring."""

    urgent_share: float
    """Of how long urgent jobs usually wait: how much we take."""
    urgent_tests: float
    """How many tests longer than an install urgent work waits at most, whatever is usual."""
    urgent_late: float
    """The share of a push that may start too late."""
    forced_new: Slope
    """By how far our waits are behind: how much longer than usual the last job of a medium build that no slot
    works on may wait before the build is installed in place of low work."""
    forced: Slope
    """The same of one that slots work on already."""
    slack_medium: Slope
    """The same before a medium build gets slots whose build nobody waits for."""
    slack_low: Slope
    """The same of a low one."""
    due_work: Slope
    """By how far our waits are behind: a slot that joins others for a build that is due must find so many
    installs of work."""
    work: Pair
    """Medium, low: a slot that joins others where no build is due must find so many installs of work."""
    price: Pair
    """Medium, low: how much more than its own time such an install costs those who wait elsewhere."""
    pressure: Slope
    """By load: how much of both counts."""
    joined_after: float
    """In a busy lab, a medium build whose last job would wait less than so much of what is usual needs no
    further slot."""
    first_rounds: float
    """While little is known of how long jobs wait, so many installs and tests are taken for usual."""


def _mixed(share: float) -> Terms:
    """So far from the hurried terms to the patient ones."""

    def mix(one: Any, other: Any) -> Any:
        if not isinstance(one, float):
            return tuple(mix(a, b) for a, b in zip(one, other, strict=True))
        return one * (1.0 - share) + other * share

    mixed: dict[str, Any] = {
        f.name: mix(getattr(HURRIED, f.name), getattr(PATIENT, f.name)) for f in fields(Terms)
    }
    return Terms(**mixed)


HURRIED: Final = Terms(
    urgent_share=0.9,
    urgent_tests=2.2,
    urgent_late=0.2,
    forced_new=(0.62, 0.45, 0.94, 0.24),
    forced=(0.8, 2.9, 1.2, 0.55),
    slack_medium=(0.62, 0.9, 0.84, 1.0),
    slack_low=(0.65, 0.62, 0.75, 0.79),
    due_work=(0.75, 1.1, 1.0, 0.57),
    work=(5.7, 7.7),
    price=(54.6, 41.2),
    pressure=(0.4, 0.05, 0.82, 1.0),
    joined_after=0.78,
    first_rounds=0.0,
)
"""Where jobs wait hardly longer than an install and a test with first come, first served."""

PATIENT: Final = Terms(
    urgent_share=0.86,
    urgent_tests=3.8,
    urgent_late=0.15,
    forced_new=(0.98, 1.5, 1.1, 0.39),
    forced=(1.0, 1.1, 1.2, 0.98),
    slack_medium=(0.89, 0.66, 1.1, 0.6),
    slack_low=(0.65, 1.0, 0.75, 1.0),
    due_work=(0.75, 20.0, 1.0, 7.7),
    work=(7.5, 5.1),
    price=(12.8, 49.1),
    pressure=(0.4, 0.05, 1.2, 1.0),
    joined_after=0.0,
    first_rounds=7.3,
)
"""Where they wait for many."""

FEW: Final = 6.3
"""Of a level's waits: so many for each slot say little yet."""
_STEPS: Final = 32
_TERMS: Final = tuple(_mixed(step / _STEPS) for step in range(_STEPS + 1))
_ROOM: Final[Slope] = (3.2, 0.0, 6.5, 1.0)
"""By how many installs and tests medium work waits with first come, first served: how patient we are."""
_AT_FIRST: Final = 1.0
"""How patient we are before that is known:"""
_KNOWN: Final = 6.4
"""when so many of it would have started on each slot; at half of them it begins to count."""


def terms(record: Record, round_s: float, now: float) -> Terms:
    """The terms of the jobs of a capability; `round_s` is what an install and a test take."""
    usual_s = record.line.usual_s(1, _USUAL, now)
    if usual_s is None:
        room = _AT_FIRST
    else:
        started = len(record.line.waits[1]) / min(KEPT, max(1.0, _KNOWN * record.slots))
        known = min(1.0, max(0.0, 2.0 * started - 1.0))
        room = _AT_FIRST + known * (between(usual_s / max(round_s, 1e-3), _ROOM) - _AT_FIRST)
    return _TERMS[round(room * _STEPS)]
