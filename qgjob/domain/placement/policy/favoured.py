"""Work of the organisations that others would crowd out."""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install, slots_with_build
from qgjob.domain.placement.policy.view import Choice, View

_MIN_WORK: Final = 4.0
"""A slot that joins others must find so many installs of work."""


def choose_favoured(view: View, pools: list[Pool], level: int) -> Choice | None:
    """Their next job at a level: where its build is installed, else on a slot that others can spare.

    Urgent work gets its first slot so; whether it needs another one is for its own rules.
    """
    for orgs in view.fairness.turns():
        if choice := _choose_of(view, pools, level, orgs):
            return choice
    return None


def _choose_of(view: View, pools: list[Pool], level: int, orgs: frozenset[str]) -> Choice | None:
    """The next job at a level of some organisations."""
    for pool in pools:
        for _, _, group in pool.by_priority[level]:
            if group.key.org_id not in orgs:
                continue
            for slot in slots_with_build(view, group):
                if choice := choose_job(view, slot, group, "the build is installed there", level=level):
                    return choice
            if view.workers(group) and not (level and view.has_work_for_one_more(group, _MIN_WORK)):
                continue
            for slot in slots_for_install(view, group):
                if view.waiting_level(slot) is not None and not view.fairness.can_spare(
                    slot, group.key.org_id
                ):
                    continue
                because = "its organisation has less than its share"
                if choice := choose_job(view, slot, group, because, level=level):
                    return choice
    return None
