"""Waits for jobs that are stored but not in the backlog yet: a request would miss them.

A run of a hundred thousand jobs is read for some seconds after its submit was answered, and a job behind
it comes later still.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from bus_schemas import streams
from qgjob.bus.connect import Bus
from qgjob.bus.topology import consumer_info, stream_state
from qgjob.domain.history import JobDoc
from qgjob.scheduler.backlog.entries import Backlog
from qgjob.scheduler.control.bulk import Operation
from qgjob.scheduler.control.cancels import FindJobs
from qgjob.scheduler.intake.intake import Intake

_LOOK_S: Final = 0.05


@dataclass(slots=True)
class Arrival:
    """Waits for the intake of one reign."""

    bus: Bus
    backlog: Backlog
    intake: Intake
    consumer: str
    """The one that the intake reads."""
    find_jobs: FindJobs

    async def wait(self, any_id: str, operation: Operation) -> None:
        """Return once what is stored of a job or a run is in the backlog, or known not to come."""
        runs = {any_id}
        if any_id not in self.backlog.entries and not self.backlog.runs.get(any_id):
            known = await self.find_jobs(any_id)
            if known is None or (known.docs and all(map(_settled, known.docs))):
                return
            runs.update(doc.run_id for doc in known.docs)
            await self._read_all()
        while any(map(self.intake.is_incomplete, runs)):
            await operation.persist()
            await asyncio.sleep(_LOOK_S)

    async def _read_all(self) -> None:
        """Wait until all that is stored by now was read."""
        last = int((await stream_state(self.bus, streams.JOBS))["last_seq"])
        while self.intake.read_through < last:
            # The last message may be none that is read, such as the marker of a run.
            info = await consumer_info(self.bus, streams.JOBS, self.consumer)
            # None: nobody can tell now, or it is gone, which ends the reign.
            if (
                info is not None
                and not info["num_pending"]
                and self.intake.messages_read >= int(info["delivered"]["consumer_seq"])
            ):
                return
            await asyncio.sleep(_LOOK_S)


def _settled(doc: JobDoc) -> bool:
    """Whether a job is not on its way into the backlog for the first time."""
    return doc.ended or doc.attempt > 1 or doc.begun
