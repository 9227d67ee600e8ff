"""Holds of slots and builds, as parts of several messages."""

from __future__ import annotations

from typing import Literal

from bus_schemas.base import Id, Model, SlotName, Text, Timestamp

HoldKind = Literal["draining", "paused", "quarantined", "reserved"]


class SlotHold(Model):
    """Why a slot takes nothing more; what it runs is finished."""

    name: SlotName
    kind: HoldKind
    by: Id
    """A user, or `scheduler` for a quarantine that it decided on by itself."""
    since: Timestamp
    note: Text | None = None
    until: Timestamp | None = None
    """Lifted by itself then; None: when somebody resumes it."""


class BuildHold(Model):
    """A build of which nothing starts for now, because it fails on slot after slot."""

    org_id: Id
    app_version_id: Id
    why: Text
    since: Timestamp
    until: Timestamp
