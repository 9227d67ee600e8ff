"""The end of a backlog: when little more comes, what counts is when all of it is done."""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.policy.picks import give, spare
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 12
_ROUNDS: Final = 4.0
"""The end proper: all that waits takes no longer than so many installs and tests, one after the other."""


def final(view: View, pools: list[Pool]) -> bool:
    """Whether so little is left of a backlog that only its last end counts, medium work or low."""
    estimates = view.state.estimates
    round_s = estimates.any_install.value + estimates.any_test.value
    return all(view.left_s(pool) <= _ROUNDS * round_s for pool in pools)


def last_to_end(view: View, pools: list[Pool]) -> Choice | None:
    """One more slot for the build that would be done last, where it is done sooner so.

    Builds that no slot works on come first. So all builds end at about the same time; and the install costs
    nobody anything, as the slot would idle. Of two builds that take as long, the one that waits longer.
    """
    if not view.idle:
        return None
    ranked: list[tuple[bool, float, int, Group]] = []
    for pool in pools:
        for shares in pool.shares:
            for _, number, group in shares.first(_LOOKED_AT):
                workers = view.workers(group)
                if not workers or _ends_s(view, group, workers) > view.install_s(group) + view.mean_s(group):
                    ranked.append((workers > 0, -view.last_start_s(group), number, group))
    ranked.sort(key=lambda entry: entry[:3])
    for *_, group in ranked:
        for slot in spare(view, group):
            if choice := give(view, slot, group, "little more comes, and its build would be done last"):
                return choice
    return None


def _ends_s(view: View, group: Group, workers: int) -> float:
    """How long until all tests of the group are done by the slots that work on it."""
    return (view.work_s(group) + group.running_s(view.now)) / workers
