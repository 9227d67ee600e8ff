"""Ends claim chains that nobody holds any more.

JetStream gives released work again to a bound slot when a lease was lost, and that slot settles
the chain. What is left for the reaper: cancelled jobs whose holder was not told, or is gone for good,
expiries that could not be written, and jobs whose message vanished from the work stream without an end.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from bus_schemas import streams, subjects
from bus_schemas.events import Ended, EndState
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import chain_subject, end_held, read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.kv import get_last
from qgjob.bus.topology import delete_message, list_subjects
from qgjob.clock import Clock
from qgjob.domain.placement.events import unknown_end
from qgjob.domain.retry import next_attempt
from qgjob.errors import BadMessageError
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.control.cancels import Cancels
from qgjob.scheduler.dispatch.dispatcher import Dispatcher
from qgjob.scheduler.dispatch.lab import Lab

log = logging.getLogger(__name__)

_EVERY_S = 5.0
"""Between two looks; several in the time of a lease, where that is short."""
_SWEEP_EVERY = 3
_PATIENCE_S = 10.0
"""How long past the end of a lease a cancelled job may go without an end, where no slot is known."""


@dataclass(slots=True)
class Reaper:
    """Looks for abandoned chains now and then, within one reign."""

    bus: Bus
    clock: Clock
    lab: Lab
    backlog: Backlog
    cancels: Cancels
    dispatcher: Dispatcher
    ack_wait_s: float
    _unheld_since: dict[str, float] = field(default_factory=dict[str, float])
    """Since when no slot is known to have a released job (monotonic)."""
    _missing: set[str] = field(default_factory=set[str])
    _unknown_work: set[str] = field(default_factory=set[str])

    async def run(self) -> None:
        """Reap until cancelled."""
        rounds, every_s = 0, min(_EVERY_S, self.ack_wait_s / 6)
        while True:
            await asyncio.sleep(every_s)
            rounds += 1
            await self._resend_cancels()
            if rounds % _SWEEP_EVERY == 0:
                await self._end_vanished()

    async def _resend_cancels(self) -> None:
        """Send cancels to holders again, as one may be lost; end what nobody holds any more."""
        now = self.clock.monotonic()
        self._unheld_since = {
            job_id: self._unheld_since.get(job_id, now)
            for job_id, released in self.lab.state.in_flight.items()
            if released.slot is None
        }
        for job_id, since in list(self.cancels.cancelling.items()):
            entry = self.backlog.entries.get(job_id)
            released = self.lab.state.in_flight.get(job_id)
            holder = released.slot if released is not None else None
            if entry is not None and holder is not None and since <= now:
                await self.cancels.send_cancel(job_id, entry.attempt, holder, entry.cancel or "cancelled")
            overdue = now - since >= self.ack_wait_s + _PATIENCE_S
            if entry is None:
                if overdue:
                    del self.cancels.cancelling[job_id]
            elif entry.expired:
                if overdue:
                    self.cancels.end_expired(entry)
            elif holder is None and (overdue or (since <= now and self._is_abandoned(job_id))):
                await self._end(entry, "cancelled", "cancelled", entry.cancel or "cancelled")

    def _is_abandoned(self, job_id: str) -> bool:
        """Whether the slot of a job is gone for so long that the lease has ended the job's processes."""
        since = self._unheld_since.get(job_id)
        return since is not None and self.clock.monotonic() - since >= streams.lease_of(self.ack_wait_s)

    async def _end_vanished(self) -> None:
        """End jobs that were twice found released but not in the work stream: their message is lost."""
        there = await list_subjects(self.bus, streams.WORK, subjects.WORK_ALL)
        missing: set[str] = set()
        for job_id, released in list(self.lab.state.in_flight.items()):
            entry = self.backlog.entries.get(job_id)
            if entry is None or not entry.released or subjects.work(*released.job.group, job_id) in there:
                continue
            missing.add(job_id)
            if job_id in self._missing:
                await self._end(entry, "errored", "lost", "its message vanished from the work stream")
        self._missing = missing
        await self._delete_ended(set(there))

    async def _delete_ended(self, there: set[str]) -> None:
        """Delete work that has ended but was never acknowledged, and that no slot may ever pull again.

        Its end is forgotten after a day: it would be run a second time by whoever finds it then.
        """
        out = {
            subjects.work(*released.job.group, job_id)
            for job_id, released in self.lab.state.in_flight.items()
        }
        strange = there - out - {subjects.WORK_FENCE}
        for subject in strange & self._unknown_work:
            stored = await get_last(self.bus, streams.WORK, subject)
            try:
                message = JobMessage.decode(stored.data) if stored else None
            except BadMessageError:
                continue  # the next recovery sets it aside
            if stored is None or message is None:
                continue
            link, _ = await read_chain(self.bus, chain_subject(message))
            if isinstance(link, Ended):
                await delete_message(self.bus, streams.WORK, stored.seq)
        self._unknown_work = strange

    async def _end(self, entry: Entry, state: EndState, reason: str, text: str) -> None:
        message, now = entry.message(), self.clock.now()
        # A lost attempt is retried like any infrastructure error; a cancelled job is not.
        following = next_attempt(message, state, None)
        if await end_held(self.bus, message, state, reason, text, now=now, following=following):
            log.warning("%s attempt %d is ended by the reaper: %s", entry.job_id, entry.attempt, text)
        else:
            # It had ended before it was released, as after a submit that was repeated.
            if self.backlog.drop(entry.job_id, entry.attempt) is not None:
                self.dispatcher.acknowledge_ended(entry)
            self.cancels.on_ended(entry)
            self.lab.feed(unknown_end(entry.job_id, entry.attempt))
