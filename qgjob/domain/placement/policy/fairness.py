"""Fairness between organisations: who goes first within a class while another one floods the lab."""

from __future__ import annotations

from collections import Counter
from typing import Final

from qgjob.domain.placement.model import LabState

_FLOOD: Final = 0.8
"""The share of all waiting jobs from which on an organisation floods the lab."""


def favoured(state: LabState) -> frozenset[str]:
    """The organisations that have fewer slots than their share while another one floods the lab."""
    orgs = state.index.orgs
    if len(orgs) < 2:
        return frozenset()
    total = sum(orgs.values())
    flooding = max(orgs, key=lambda org: (orgs[org], org))
    if orgs[flooding] < _FLOOD * total or orgs[flooding] <= len(state.slots):
        return frozenset()
    busy = Counter(slot.works_on.key.org_id for slot in state.slots.values() if slot.works_on is not None)
    weight = {org: state.weights.get(org, 1.0) for org in {*orgs, *busy}}
    each = len(state.slots) / sum(weight.values())
    return frozenset(org for org in orgs if org != flooding and busy[org] < each * weight[org])
