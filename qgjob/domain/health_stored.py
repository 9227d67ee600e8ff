"""Converts the health of slots and builds to the message that the next leader reads, and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, repeat

from bus_schemas.lab import BuildTrouble, LabHealth, SlotTrouble
from qgjob.domain.health import Build, BuildRecord, Health, SlotRecord


def to_message(health: Health) -> LabHealth:
    """The records as a message."""
    slots = tuple(
        SlotTrouble(
            slot=name,
            jobs=tuple((job, *build) for job, build in record.jobs.items()),
            times=record.times,
            since=record.since,
            until=record.until,
            why=record.why,
        )
        for name, record in health.slots.items()
    )
    troubled = (
        BuildTrouble(
            org_id=org,
            app_version_id=version,
            slots=tuple(record.slots),
            jobs=tuple(record.slots.values()),
            times=record.times,
            since=record.since,
            until=record.until,
            why=record.why,
        )
        for (org, version), record in health.builds.items()
    )
    good = (BuildTrouble(org_id=org, app_version_id=version, works=True) for org, version in health.good)
    return LabHealth(slots=slots, builds=(*troubled, *good))


def from_message(message: LabHealth) -> Health:
    """The records of a message."""
    return Health(
        slots={
            s.slot: SlotRecord(
                {job: (org, build) for job, org, build in s.jobs}, s.times, s.since, s.until, s.why
            )
            for s in message.slots
        },
        builds={
            (b.org_id, b.app_version_id): BuildRecord(
                dict(zip(b.slots, chain(b.jobs, repeat("")), strict=False)), b.times, b.since, b.until, b.why
            )
            for b in message.builds
            if not b.works
        },
        good=_good(message.builds),
    )


def _good(builds: Iterable[BuildTrouble]) -> dict[Build, None]:
    return {(b.org_id, b.app_version_id): None for b in builds if b.works}
