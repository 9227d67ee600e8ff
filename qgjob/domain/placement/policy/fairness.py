"""Fairness between organisations: who goes first within a class, and who has a slot to spare for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from qgjob.domain.placement.model import LabState, Slot

_FLOOD: Final = 0.8
"""An organisation floods the lab when it has this share of all waiting jobs, and more than there are
slots."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """What organisations are sure of while others have more."""

    favoured: frozenset[str] = frozenset()
    """They have fewer slots than they are sure of, and go first within a class."""
    _slots: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many slots each has, with those that are idle between two jobs."""
    _sure: Mapping[str, float] = field(default_factory=dict[str, float])

    def spares(self, slot: Slot) -> bool:
        """Whether an idle slot is to spare for others by the organisation that it worked for."""
        org = None if slot.bound is None else slot.bound.org_id
        return org is None or org not in self._sure or self._slots[org] - 1 >= self._sure[org]


_ALL_EQUAL: Final = Fairness()


def fairness_of(state: LabState) -> Fairness:
    """Who goes first.

    An organisation is sure of its first slot, unless others have no second one. It is sure of its share of
    the slots while another one floods the lab, or where an operator gave one of them another share: to share
    evenly at all times costs too many installs.
    """
    orgs = state.index.waiting_by_org
    if len(orgs) < 2:
        return _ALL_EQUAL
    flooding = max(orgs, key=lambda org: (orgs[org], org))
    floods = orgs[flooding] >= _FLOOD * sum(orgs.values()) and orgs[flooding] > len(state.slots)
    busy = state.org_slots
    have = Counter(slot.bound.org_id for slot in state.free.values() if slot.bound and not slot.held)
    have.update(busy)
    if floods or not state.weights.keys().isdisjoint({*orgs, *busy}):
        weight = {org: state.weights.get(org, 1.0) for org in {*orgs, *busy}}
        each = len(state.slots) / sum(weight.values())
        sure = {org: each * weight[org] for org in orgs}
        if floods:
            del sure[flooding]
        return Fairness(frozenset(org for org in sure if busy.get(org, 0) < sure[org]), have, sure)
    if max(have.values(), default=0) < 2:
        return _ALL_EQUAL
    return Fairness(frozenset(org for org in orgs if not have[org]), have, dict.fromkeys(orgs, 1.0))
