"""What waits and what works for each organisation: counted where it changes, as there may be thousands."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(slots=True, eq=False)
class Organisations:
    """The organisations for which something waits that may start, or slots work: they are *present*."""

    waiting: dict[str, int] = field(default_factory=dict[str, int])
    """How many jobs of each wait that may start,"""
    by_capability: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """and by capability."""
    all_waiting: int = 0
    """How many wait in all."""
    slots: dict[str, int] = field(default_factory=dict[str, int])
    """How many slots work for each."""
    with_several: int = 0
    """For how many several slots work."""
    turned: dict[str, None] = field(default_factory=dict[str, None])
    """For which a first slot works now, or none any more, since `Index` looked last."""
    weighted: int = 0
    """How many of those present have a weight of their own."""
    _by_waiting: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """How many jobs wait for each, sorted."""
    _by_slots: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """How many slots work for each that has any, over its weight, sorted."""
    _weights: Mapping[str, float] = field(default_factory=dict[str, float])
    _total_weight: Fraction = Fraction(0)
    """Exact: after a million changes the sum is that of those present."""

    @property
    def total_weight(self) -> float:
        """The weights of all that are present, summed."""
        return float(self._total_weight)

    def weight(self, org: str) -> float:
        """The share of an organisation, relative to the others'."""
        return self._weights.get(org, 1.0)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Operators set other weights; who is not among them has the usual one, 1."""
        self._weights = weights
        present = self.waiting.keys() | self.slots.keys()
        self._total_weight = sum((Fraction(self.weight(org)) for org in present), Fraction(0))
        self.weighted = sum(org in weights for org in present)
        self._by_slots = sorted((slots / self.weight(org), org) for org, slots in self.slots.items())

    def with_fewer_slots(self, slots: float) -> list[str]:
        """For whom slots work, but fewer than so many times its weight."""
        return [org for _, org in self._by_slots[: bisect_left(self._by_slots, (slots, ""))]]

    def with_most_waiting(self) -> str:
        """The organisation with the most waiting jobs; some must wait."""
        return self._by_waiting[-1][1]

    def count_waiting(self, org: str, capability: str, by: int) -> None:
        """So many more jobs of an organisation wait, or fewer."""
        if not by:
            return
        before = self.waiting.get(org, 0)
        after = before + by
        self.all_waiting += by
        by_capability = self.by_capability.setdefault(org, {})
        by_capability[capability] = by_capability.get(capability, 0) + by
        if not by_capability[capability]:
            del by_capability[capability]
        if before:
            del self._by_waiting[bisect_left(self._by_waiting, (before, org))]
        elif org not in self.slots:
            self._count_present(org, 1)
        if after:
            insort(self._by_waiting, (after, org))
            self.waiting[org] = after
            return
        del self.waiting[org], self.by_capability[org]
        if org not in self.slots:
            self._count_present(org, -1)

    def count_slot(self, org: str, by: int) -> None:
        """One more slot works for an organisation (`by` 1), or one less (-1)."""
        before, weight = self.slots.get(org, 0), self.weight(org)
        after = before + by
        self.with_several += (after > 1) - (before > 1)
        if before:
            del self._by_slots[bisect_left(self._by_slots, (before / weight, org))]
        if after:
            insort(self._by_slots, (after / weight, org))
            self.slots[org] = after
        else:
            del self.slots[org]
        if before and after:
            return
        self.turned[org] = None
        if org not in self.waiting:
            self._count_present(org, by)

    def _count_present(self, org: str, by: int) -> None:
        self._total_weight += by * Fraction(self.weight(org))
        self.weighted += by * (org in self._weights)
