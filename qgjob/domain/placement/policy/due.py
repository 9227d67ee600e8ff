"""Builds that are due: their last job would wait longer than is usual with first come, first served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merged
from qgjob.domain.placement.policy.picks import give, spare
from qgjob.domain.placement.policy.scale import between
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 32
_USUAL: Final = (1.0, 0.95, 1.0)
"""By level: the quantile of the waits with first come, first served that is usual."""


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
        behind = view.record(pool).behind(level)
        usual_s, terms = view.usual_s(pool, level, _USUAL[level]), view.terms(pool)
        slack = terms.slack_medium if level == 1 else terms.slack_low
        slopes = (terms.forced_new, terms.forced) if forced else (slack, slack)
        new_s, joined_s = (usual_s * between(behind, slope) for slope in slopes)
        return cls(new_s, joined_s, between(behind, terms.due_work))


def due(view: View, pools: list[Pool], level: int, *, forced: bool = False) -> Iterator[Choice]:
    """Installs of builds that are due at a level: those that no slot works on first, then the latest.

    They are for slots whose build nobody waits for, but with `forced` come before what others wait for.
    At the end of a backlog a low build that no slot works on is due as soon as one is of which less old
    work waits: by the time it is late itself, all slots are on long builds.
    """
    if not view.idle or not any(pool.waiting[level] for pool in pools):
        return
    limits = {pool.capability: _Limits.of(view, pool, level, forced=forced) for pool in pools}
    late: list[tuple[bool, float, int, Group]] = []
    older: list[tuple[bool, float, int, Group]] = []
    for group in merged((pool.turns[level] for pool in pools), _LOOKED_AT):
        limit, workers = limits[group.capability], view.workers(group)
        last_s = view.last_start_s(group, level + 1)
        entry = (workers > 0, -last_s, group.number, group)
        if last_s <= (limit.joined_s if workers else limit.new_s):
            if level == 2 and not workers and view.ending(group):
                older.append(entry)
            continue
        least_s = limit.installs * view.install_s(group) * (workers + 1)
        if not workers or view.work_s(group, level + 1) >= least_s:
            late += [entry, *older]
            older.clear()
    late.sort(key=lambda entry: entry[:3])
    for *_, group in late:
        for slot in spare(view, group):
            if choice := give(view, slot, group, "it is due; the build is installed first"):
                yield choice
