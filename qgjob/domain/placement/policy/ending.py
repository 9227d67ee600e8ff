"""The end of a backlog: when little more comes, what counts is when all of it is done."""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.policy.picks import give, spare
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 32
_ROUNDS: Final = 4.0
"""The end proper: all that waits takes no longer than so many installs and tests, one after the other."""
_QUIET: Final = 4.0
"""Nobody waits for anything else but the end once nothing came for so many times what it takes."""


def final(view: View, pools: list[Pool]) -> bool:
    """Whether so little is left of a backlog that only its last end counts, medium work or low."""
    return all(view.brief(pool) or view.left_s(pool) <= _ROUNDS * view.round_s for pool in pools)


def last_to_end(view: View, pools: list[Pool]) -> Choice | None:
    """One more slot for the build that would be done last, where it is done sooner so.

    So all builds end at about the same time; and the install costs nobody anything, as the slot would idle.
    Once nothing but the end counts, the build goes first of which most would be left when all could be done;
    before, those that no slot works on, and of two that take as long the one that waits longer.
    """
    if not view.idle:
        return None
    even_s = _even_s(view, pools)
    ranked: list[tuple[bool, float, int, Group]] = []
    for pool in pools:
        for shares in pool.shares:
            for _, number, group in shares.first(_LOOKED_AT):
                workers = view.workers(group)
                left_s = view.work_s(group) + (group.running_s(view.now) if workers else 0.0)
                if workers and left_s <= workers * (view.install_s(group) + view.mean_s(group)):
                    continue
                if even_s is None:
                    ranked.append((workers > 0, -view.last_start_s(group), number, group))
                else:
                    ranked.append((False, workers * even_s - left_s, number, group))
    ranked.sort(key=lambda entry: entry[:3])
    for *_, group in ranked:
        for slot in spare(view, group):
            if choice := give(view, slot, group, "little more comes, and its build would be done last"):
                return choice
    return None


def _even_s(view: View, pools: list[Pool]) -> float | None:
    """How long until all is done, evenly spread; None while something else counts as well."""
    if not final(view, pools):
        return None
    longest_s = 0.0
    for pool in pools:
        left_s = view.left_s(pool)
        if not view.brief(pool) and view.record(pool).quiet_s(view.now) < _QUIET * left_s:
            return None
        longest_s = max(longest_s, left_s)
    estimates = view.state.estimates
    return longest_s + estimates.any_install.value + estimates.any_test.value / 2
