"""What jobs are of which events tell that came before their announcement.

The leader tells of a job after it has placed it, and a short test may have ended by then. The backlog,
which keeps a job for a few seconds after its release, knows what it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bus_schemas.jobs import JobMessage
from bus_schemas.streams import JOBS
from bus_schemas.tokens import encode_token
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_last
from qgjob.domain.history import JobDoc, describe
from qgjob.errors import BadMessageError

_AT_ONCE: Final = 500


async def describe_unannounced(bus: Bus, docs: Iterable[JobDoc]) -> None:
    """Fill in, as far as the backlog tells it, what those of these jobs are that nothing announced yet."""
    lacking = {doc.job_id: doc for doc in docs if doc.queued_at is None}
    subjects = [
        f"qg.jobs.*.{encode_token(doc.org_id)}.{encode_token(doc.job_id)}" for doc in lacking.values()
    ]
    for start in range(0, len(subjects), _AT_ONCE):
        for message in await read_last(bus, JOBS, subjects[start : start + _AT_ONCE]):
            try:
                spec = JobMessage.decode(message.data).spec
            except BadMessageError:
                continue
            doc = lacking.get(spec.job_id)
            if doc is not None and (doc.org_id, doc.run_id) == (spec.org_id, spec.run_id):
                describe(doc, spec)
