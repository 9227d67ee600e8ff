"""What operators set: pauses, limits and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from bus_schemas.jobs import labels_of

if TYPE_CHECKING:
    from qgjob.domain.placement.model import GroupKey


class Pause(NamedTuple):
    """What does not start: of an organisation, of a capability, of both, or everything."""

    org_id: str | None = None
    capability: str | None = None
    whose: str = ""
    """Who set it and why, to follow what is said of it: ` by ann: a new cable`."""

    def covers(self, key: GroupKey) -> bool:
        """Whether a group is paused: it is the organisation's, and needs all of the capability's labels."""
        if self.org_id is not None and self.org_id != key.org_id:
            return False
        if self.capability is None or self.capability == key.capability:
            return True
        labels = labels_of(self.capability)
        return bool(labels) and labels <= labels_of(key.capability)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force, until operators set others."""

    pauses: tuple[Pause, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many jobs of an organisation may be in flight at once."""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """An organisation's share of the slots, relative to the others'; 1 where none is set."""

    _pauses_of: Mapping[str | None, list[Pause]] = field(init=False, compare=False)
    """By organisation; None: of all."""

    def __post_init__(self) -> None:
        """Sort the pauses by organisation: there may be many, and each job asks for its own."""
        pauses_of: dict[str | None, list[Pause]] = {}
        for pause in self.pauses:
            pauses_of.setdefault(pause.org_id, []).append(pause)
        object.__setattr__(self, "_pauses_of", pauses_of)

    def blocks(self, key: GroupKey, org_in_flight: Mapping[str, int]) -> bool:
        """Whether no job of a group may start while so many jobs of each organisation are in flight."""
        limit = self.limits.get(key.org_id)
        if limit is not None and org_in_flight.get(key.org_id, 0) >= limit:
            return True
        pauses_of = self._pauses_of
        if not pauses_of:
            return False
        pauses = chain(pauses_of.get(None, ()), pauses_of.get(key.org_id, ()))
        return any(pause.covers(key) for pause in pauses)
