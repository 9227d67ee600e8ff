"""Find what a job was submitted as (its spec): in its `queued` event, or in its message in the backlog."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bus_schemas import streams, subjects
from bus_schemas.events import Queued, decode_event_at
from bus_schemas.jobs import JobMessage, JobSpec
from bus_schemas.subjects import EventLane
from bus_schemas.tokens import encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_last, read_page
from qgjob.domain.history import JobDoc, describe
from qgjob.errors import BadMessageError

_FIRST_EVENTS: Final = 100
"""How many events of an attempt are searched: those that are looked for come early."""
_AT_ONCE: Final = 500


def events_of(doc: JobDoc, attempt: int, lane: EventLane) -> str:
    """Where an attempt's claim chain (`state`) or its other events (`info`) stand."""
    return subjects.event(doc.org_id, doc.run_id, doc.job_id, attempt, lane)


async def read_spec(bus: Bus, doc: JobDoc) -> JobSpec | None:
    """The job as it was submitted; None when that is not kept any more."""
    return next((e.spec for e in await read_infos(bus, doc, 1) if isinstance(e, Queued)), None)


async def read_infos(bus: Bus, doc: JobDoc, attempt: int) -> list[object]:
    """The first events of an attempt beside its chain."""
    page = await read_page(bus, streams.EVENTS, events_of(doc, attempt, "info"), limit=_FIRST_EVENTS)
    events: list[object] = []
    for message in page.messages:
        try:
            events.append(decode_event_at(message.subject, message.data))
        except BadMessageError:
            continue
    return events


async def describe_unannounced(bus: Bus, docs: Iterable[JobDoc]) -> None:
    """Fill in the specs of jobs that have no `queued` event yet, from their messages in the backlog.

    The leader announces a job after it has placed it, and a short test may have ended by then. The backlog
    keeps a job's message for a few seconds after its release.
    """
    lacking = {doc.job_id: doc for doc in docs if doc.queued_at is None}
    patterns = [
        f"qg.jobs.*.{encode_token(doc.org_id)}.{encode_token(doc.job_id)}" for doc in lacking.values()
    ]
    for start in range(0, len(patterns), _AT_ONCE):
        for message in await read_last(bus, streams.JOBS, patterns[start : start + _AT_ONCE]):
            try:
                spec = JobMessage.decode(message.data).spec
            except BadMessageError:
                continue
            doc = lacking.get(spec.job_id)
            if doc is not None and (doc.org_id, doc.run_id) == (spec.org_id, spec.run_id):
                describe(doc, spec)
