"""Work that waits for labels which no slot has: busy, held or lost slots count, as they may come back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from bus_schemas.jobs import labels_of

if TYPE_CHECKING:
    from bus_schemas.queries import GroupView


def unfit(groups: Iterable[GroupView], slots: Iterable[Collection[str]]) -> dict[str, int]:
    """How many jobs wait for labels that no slot has, by those labels; nothing while no slot is known."""
    known = [frozenset(labels) for labels in {tuple(labels) for labels in slots}]
    waiting: dict[str, int] = {}
    for view in groups:
        needs = labels_of(view.group.capability)
        if known and view.waiting_jobs and not any(needs <= labels for labels in known):
            waiting[view.group.capability] = waiting.get(view.group.capability, 0) + view.waiting_jobs
    return waiting
