"""Fairness between organisations: who goes first within a class, and who has a slot to spare for them."""

from __future__ import annotations

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


@dataclass(slots=True)
class Fairness:
    """How many slots organisations are guaranteed while others have more, worked out for whom it is asked.

    Each with waiting jobs is guaranteed its first slot, unless others have no second one. It is guaranteed
    its share of the slots that can run its work while another one floods the lab, or where an operator gave
    one of them another share: to share evenly at all times costs too many installs.
    """

    state: LabState
    idle: dict[str, int]
    """How many slots are idle between two jobs of each."""
    favours_any: bool = False
    """Whether others may go before any organisation: there are several, and one has slots to give."""
    shares: bool = False
    """Whether each is guaranteed its share, not only its first slot."""
    flooding: str | None = None
    """Who floods the lab: it is guaranteed nothing."""
    total_weight: float = 1.0
    """Of all among whom the slots are shared."""
    _guaranteed: dict[str, float] = field(default_factory=dict[str, float])
    _with_slots: frozenset[str] | None = None

    def slots(self, org: str) -> int:
        """How many slots an organisation has, including those that are idle between two jobs."""
        return self.state.index.orgs.slots.get(org, 0) + self.idle.get(org, 0)

    def favours(self, org: str) -> bool:
        """Whether an organisation has fewer slots than it is guaranteed: it goes first within a class."""
        orgs = self.state.index.orgs
        if not self.favours_any or org not in orgs.waiting or org == self.flooding:
            return False
        return orgs.slots.get(org, 0) < self._guarantee(org) if self.shares else not self.slots(org)

    @property
    def favoured_with_slots(self) -> frozenset[str]:
        """Those that are favoured although they have a slot."""
        if self._with_slots is None:
            maybe: list[str] = []
            if self.shares:
                orgs = self.state.index.orgs
                maybe = [org for org, count in self.idle.items() if count and org not in orgs.slots]
                most = len(self.state.slots) / self.total_weight
                maybe += orgs.with_fewer_slots(most * (1.0 + _ROUNDING))
            self._with_slots = frozenset(org for org in maybe if self.favours(org))
        return self._with_slots

    def can_spare(self, slot: Slot, *, first: bool) -> bool:
        """Whether the organisation that an idle slot worked for keeps what it is guaranteed without it.

        For the `first` slot of another one it gives the fraction of a slot that it is guaranteed, too: each
        has one more or less, and small shares would have none for ever.
        """
        org = None if slot.bound is None else slot.bound.org_id
        if org is None or org not in self.state.index.orgs.waiting or org == self.flooding:
            return True
        guaranteed = self._guarantee(org) if self.shares else 1.0
        if first:
            guaranteed = max(1.0, floor(guaranteed + _ROUNDING))
        return self.slots(org) - 1 >= guaranteed

    def _guarantee(self, org: str) -> float:
        guaranteed = self._guaranteed.get(org)
        if guaranteed is None:
            weight = self.state.index.orgs.weight(org)
            guaranteed = _able_slots(self.state, org) * weight / self.total_weight
            self._guaranteed[org] = guaranteed
        return guaranteed


def fairness_of(state: LabState) -> Fairness:
    """What organisations with waiting jobs are guaranteed now; the index must be up to date."""
    orgs = state.index.orgs
    idle: dict[str, int] = {}
    for slot in state.free.values():
        if slot.bound and not slot.assigned:
            idle[slot.bound.org_id] = idle.get(slot.bound.org_id, 0) + 1
    fairness = Fairness(state, idle)
    if len(orgs.waiting) < 2:
        return fairness
    largest = orgs.with_most_waiting()
    waiting = orgs.waiting[largest]
    if waiting > _FLOOD_BACKLOG * len(state.slots) and waiting >= _FLOOD * orgs.all_waiting:
        fairness.flooding = largest
    fairness.shares = fairness.flooding is not None or orgs.weighted > 0
    fairness.total_weight = orgs.total_weight
    fairness.favours_any = (
        fairness.shares or orgs.with_several > 0 or any(fairness.slots(org) > 1 for org in idle)
    )
    return fairness


def _able_slots(state: LabState, org: str) -> int:
    """How many slots can run the waiting work of an organisation: of its capabilities, that with the most.

    A share of slots that cannot run it would never be reached: on those that can, it would go first for ever.
    """
    most = 0
    for capability in state.index.orgs.by_capability[org]:
        stats = state.stats.by_capability.get(capability)
        if stats is not None and stats.slots > most:
            most = stats.slots
    return most
