"""The end of a backlog: when little more arrives, what counts is when all of it is done (the makespan)."""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install
from qgjob.domain.placement.policy.view import Choice, View

_SCAN_LIMIT: Final = 32
_LAST_ROUNDS: Final = 6.0
"""The last rounds: the backlog takes no longer than so many installs and tests, one after the other."""
_QUIET: Final = 4.0
"""Only the makespan counts once nothing arrived for so many times what the backlog takes."""


def is_last_rounds(view: View, pools: list[Pool]) -> bool:
    """Whether so little is left of a backlog that its end counts more than medium before low."""
    return all(view.is_brief(pool) or view.backlog_s(pool) <= _LAST_ROUNDS * view.round_s for pool in pools)


def choose_last_to_end(view: View, tier: list[Pool], pools: list[Pool]) -> Choice | None:
    """One more slot for the build that would be done last, where that makes it done sooner.

    `tier`: all that ends together; `pools`: those of it that a free slot can run.

    So all builds end at about the same time; and the install costs nobody anything, as the slot would idle.
    While not only the makespan counts, builds that no slot works on go first, then those whose last job would
    wait longest. Once it does, the build goes first of which most would be left when all could be done.
    """
    if not view.idle:
        return None
    makespan_s = _makespan_s(view, tier)
    ranked: list[tuple[bool, float, int, Group]] = []
    for pool in pools:
        for by_work in pool.by_work:
            for group in by_work.groups(_SCAN_LIMIT):
                workers = view.workers(group)
                left_s = view.work_s(group) + (group.running_s(view.now) if workers else 0.0)
                if workers and left_s <= workers * (view.install_s(group) + view.test_s(group) / 2):
                    continue
                if makespan_s is None:
                    ranked.append((workers > 0, -view.last_wait_s(group), group.number, group))
                else:
                    ranked.append((False, workers * makespan_s - left_s, group.number, group))
    ranked.sort(key=lambda entry: entry[:3])
    for *_, group in ranked:
        for slot in slots_for_install(view, group):
            if choice := choose_job(view, slot, group, "little more comes, and its build would be done last"):
                return choice
    return None


def _makespan_s(view: View, pools: list[Pool]) -> float | None:
    """Seconds until all of the backlog could be done, evenly spread; None while not only that counts."""
    if not is_last_rounds(view, pools):
        return None
    longest_s = 0.0
    for pool in pools:
        backlog_s = view.backlog_s(pool)
        if not view.is_brief(pool) and view.stats(pool).since_arrival_s(view.now) < _QUIET * backlog_s:
            return None
        longest_s = max(longest_s, backlog_s)
    estimates = view.state.estimates
    return longest_s + estimates.any_install.value + estimates.any_test.value / 2
