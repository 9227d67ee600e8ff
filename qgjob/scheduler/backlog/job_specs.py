"""What a job was submitted as, from the event that told of it: kept for a day, longer than its message."""

from __future__ import annotations

from typing import Final

from bus_schemas import streams, subjects
from bus_schemas.events import Queued, decode_event_at
from bus_schemas.jobs import JobSpec
from bus_schemas.subjects import EventLane
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_page
from qgjob.domain.history import JobDoc
from qgjob.errors import BadMessageError

_FIRST_EVENTS: Final = 100
"""Among so many events of an attempt the one is that is looked for: it comes early."""


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
