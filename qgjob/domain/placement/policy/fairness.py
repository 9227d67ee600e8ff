"""Fairness between organisations: who goes first within a class, and who has a slot to spare for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor
from typing import Final

from qgjob.domain.placement.model import LabState, Slot

_FLOOD: Final = 0.8
"""An organisation floods the lab when it has this share of all waiting jobs,"""
_FLOOD_BACKLOG: Final = 10.0
"""and so many for each slot. Behind fewer nobody waits long, and to let others go first costs installs."""
_ROUNDING: Final = 1e-9
"""Three slots of three equal shares may be a hair less."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """How many slots organisations are guaranteed while others have more."""

    favoured: frozenset[str] = frozenset()
    """They have fewer slots than they are guaranteed, and go first within a class."""
    _slots: Counter[str] = field(default_factory=Counter[str])
    """How many slots each has, including those that are idle between two jobs."""
    _guaranteed: Mapping[str, float] = field(default_factory=dict[str, float])
    """How many slots each is guaranteed; none where no other needs them."""

    def turns(self) -> list[frozenset[str]]:
        """The favoured organisations in the order of their turns: first those without any slot."""
        without = frozenset(org for org in self.favoured if not self._slots[org])
        return [orgs for orgs in (without, self.favoured - without) if orgs]

    def can_spare(self, slot: Slot, favoured: str) -> bool:
        """Whether the organisation that an idle slot worked for keeps what it is guaranteed without it.

        For the first slot of another one it gives the fraction of a slot that it is guaranteed, too: each has
        one more or less, and small shares would have none for ever.
        """
        org = None if slot.bound is None else slot.bound.org_id
        if org is None or org not in self._guaranteed:
            return True
        guaranteed = self._guaranteed[org]
        if not self._slots[favoured]:
            guaranteed = max(1.0, floor(guaranteed + _ROUNDING))
        return self._slots[org] - 1 >= guaranteed


_ALL_EQUAL: Final = Fairness()


def fairness_of(state: LabState) -> Fairness:
    """How many slots the organisations with waiting jobs are guaranteed, and which have fewer.

    Each is guaranteed its first slot, unless others have no second one. It is guaranteed its share of the
    slots that can run its work while another one floods the lab, or where an operator gave one of them
    another share: to share evenly at all times costs too many installs.
    """
    waiting = state.index.waiting_by_org
    if len(waiting) < 2:
        return _ALL_EQUAL
    flooding = max(waiting, key=lambda org: (waiting[org], org))
    many = waiting[flooding] > _FLOOD_BACKLOG * len(state.slots)
    floods = many and waiting[flooding] >= _FLOOD * sum(waiting.values())
    busy = state.org_slots
    slots = Counter(slot.bound.org_id for slot in state.free.values() if slot.bound and not slot.assigned)
    slots.update(busy)
    if floods or not state.weights.keys().isdisjoint({*waiting, *busy}):
        weights = {org: state.weights.get(org, 1.0) for org in {*waiting, *busy}}
        total = sum(weights.values())
        guaranteed = {org: _able_slots(state, org) * weights[org] / total for org in waiting}
        if floods:
            del guaranteed[flooding]
        return Fairness(
            frozenset(org for org in guaranteed if busy.get(org, 0) < guaranteed[org]), slots, guaranteed
        )
    if max(slots.values(), default=0) < 2:
        return _ALL_EQUAL
    return Fairness(frozenset(org for org in waiting if not slots[org]), slots, dict.fromkeys(waiting, 1.0))


def _able_slots(state: LabState, org: str) -> int:
    """How many slots can run the waiting work of an organisation: of its capabilities, that with the most.

    A share of slots that cannot run it would never be reached: on those that can, it would go first for ever.
    """
    by_capability = state.stats.by_capability
    return max(
        stats.slots if (stats := by_capability.get(capability)) else 0
        for capability in state.index.capabilities_by_org[org]
    )
