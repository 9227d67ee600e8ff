"""Publish made-up histories into the real stream of events, as agents and the scheduler do."""

from __future__ import annotations

from collections.abc import Iterable

from bus_schemas.events import AnyEvent, Ended, subject_of
from bus_schemas.jobs import JobMessage, RunMarker, priority_class
from bus_schemas.subjects import job, run_marker
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg, publish_batch, split


async def record(bus: Bus, events: Iterable[AnyEvent]) -> int:
    """Store events one by one, ends rolling their chains up; returns the last one's place."""
    seq = 0
    for event in events:
        headers = {"Nats-Rollup": "sub"} if isinstance(event, Ended) else None
        seq = (await bus.requests.publish(subject_of(event), event.encode(), headers=headers)).seq
    return seq


async def record_at_once(bus: Bus, events: Iterable[AnyEvent]) -> None:
    """Store many events in batches, without rolling anything up."""
    for batch in split([OutMsg(subject_of(event), event.encode()) for event in events]):
        await publish_batch(bus, batch)


async def submit(
    bus: Bus, jobs: list[JobMessage], *, state: str = "complete", size: int | None = None
) -> RunMarker:
    """Put a run into the backlog as a client does, its marker first."""
    spec = jobs[0].spec
    marker = RunMarker.model_validate(
        {
            "run_id": spec.run_id,
            "org_id": spec.org_id,
            "state": state,
            "size": size or len(jobs),
            "parts": jobs[0].parts,
            "digest": "0" * 64,
            "name": "nightly",
            "meta": {"branch": "main"},
            "created_at": spec.created_at,
        }
    )
    messages = [OutMsg(run_marker(spec.org_id, spec.run_id), marker.encode())]
    for message in jobs:
        subject = job(priority_class(message.spec.priority), message.spec.org_id, message.spec.job_id)
        messages.append(OutMsg(subject, message.encode()))
    await publish_batch(bus, messages)
    return marker
