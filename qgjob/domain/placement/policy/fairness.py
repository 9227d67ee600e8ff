"""Fairness between organisations: who goes first within a class while another one floods the lab."""

from __future__ import annotations

from collections import Counter
from typing import Final

from qgjob.domain.placement.model import LabState

_FLOOD: Final = 0.8
"""An organisation floods the lab when it has this share of all waiting jobs, and more than there are
slots."""


def favoured_orgs(state: LabState) -> frozenset[str]:
    """Organisations with waiting jobs and less than their weighted share of the slots.

    None unless another one floods the lab.
    """
    waiting = state.index.waiting_by_org
    if len(waiting) < 2:
        return frozenset()
    total = sum(waiting.values())
    flooding = max(waiting, key=lambda org: (waiting[org], org))
    if waiting[flooding] < _FLOOD * total or waiting[flooding] <= len(state.slots):
        return frozenset()
    busy = Counter(slot.works_on.key.org_id for slot in state.slots.values() if slot.works_on is not None)
    weights = {org: state.weights.get(org, 1.0) for org in {*waiting, *busy}}
    slots_per_weight = len(state.slots) / sum(weights.values())
    return frozenset(
        org for org in waiting if org != flooding and busy[org] < slots_per_weight * weights[org]
    )
