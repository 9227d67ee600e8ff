"""Builds that are due: their last job would wait longer than is usual with first come, first served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merged
from qgjob.domain.placement.policy.picks import give, spare
from qgjob.domain.placement.policy.scale import Slope, between
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 32
_USUAL: Final = (1.0, 0.95, 1.0)
"""By level: the quantile of the waits with first come, first served that is usual."""
_SLACK: Final[tuple[Slope, ...]] = ((1, 1, 1, 1), (0.75, 1.2, 0.95, 0.4), (0.65, 3.0, 0.75, 1.0))
"""By level, by how far our waits are behind: how much longer than usual the last job of a build may wait
before it gets slots whose build nobody waits for."""
_FORCED: Final[Slope] = (0.95, 1.5, 1.05, 0.3)
"""The same of medium work before it is installed in place of low work, where slots work on it already."""
_FORCED_NEW: Final[Slope] = (0.85, 1.0, 0.95, 0.1)
"""The same where none does: sooner, as that install is needed anyway."""
_WORK: Final[Slope] = (0.75, 6.0, 1.0, 2.0)
"""By how far our waits are behind: a slot that joins others must find so many installs of work."""


@dataclass(slots=True, frozen=True)
class _Limits:
    """When a pool's builds are due."""

    new_s: float
    """The longest wait of a build that no slot works on."""
    joined_s: float
    """Of one that slots work on."""
    installs: float
    """How many installs of work there must be for each slot then."""

    @classmethod
    def of(cls, view: View, pool: Pool, level: int, *, forced: bool) -> _Limits:
        record = view.record(pool)
        behind = record.behind(level)
        usual_s = record.line.usual_s(level, _USUAL[level], view.now) or 0.0
        slopes = (_FORCED_NEW, _FORCED) if forced else (_SLACK[level], _SLACK[level])
        new_s, joined_s = (usual_s * between(behind, slope) for slope in slopes)
        return cls(new_s, joined_s, between(behind, _WORK))


def due(view: View, pools: list[Pool], level: int, *, forced: bool = False) -> Iterator[Choice]:
    """Installs of builds that are due at a level: those that no slot works on first, then the latest.

    They are for slots whose build nobody waits for, but with `forced` come before what others wait for.
    """
    if not view.idle or not any(pool.waiting[level] for pool in pools):
        return
    limits = {pool.capability: _Limits.of(view, pool, level, forced=forced) for pool in pools}
    late: list[tuple[bool, float, int, Group]] = []
    for group in merged((pool.turns[level] for pool in pools), _LOOKED_AT):
        limit, workers = limits[group.capability], view.workers(group)
        last_s = view.last_start_s(group, level + 1)
        if last_s <= (limit.joined_s if workers else limit.new_s):
            continue
        least_s = limit.installs * view.install_s(group) * (workers + 1)
        if not workers or view.work_s(group, level + 1) >= least_s:
            late.append((workers > 0, -last_s, group.number, group))
    late.sort(key=lambda entry: entry[:3])
    for *_, group in late:
        for slot in spare(view, group):
            if choice := give(view, slot, group, "it is due; the build is installed first"):
                yield choice
