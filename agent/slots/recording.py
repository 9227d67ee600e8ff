"""Records the end of an attempt in the background, while the slot claims its next job."""

from __future__ import annotations

import asyncio
import logging

from agent.attempts.claim import Claim
from agent.attempts.lease import acknowledge
from agent.attempts.outcome import Outcome
from agent.slots.held_work import Note
from qgjob.bus.connect import Bus
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)


class Recording:
    """Records the ends of one slot's attempts, one at a time, and acknowledges their messages."""

    def __init__(self, bus: Bus, slot: str) -> None:
        self._bus = bus
        self._slot = slot
        self._end: asyncio.Task[None] | None = None

    @property
    def pending(self) -> bool:
        """Whether an end is not recorded yet."""
        return self._end is not None and not self._end.done()

    def begin(self, held: Claim, outcome: Outcome, ack: str, note: Note) -> None:
        """Record an end, and then acknowledge its work. The one before has to be `done`."""
        self._end = asyncio.create_task(self._record(held, outcome, ack, note), name="recording")

    async def done(self) -> None:
        """Wait until the last end is recorded, or given up: then the work stream redelivers its job."""
        if self._end is not None:
            await asyncio.wait({self._end})

    async def close(self) -> None:
        """Wait for the recording that is under way; when that is cancelled, it is cancelled too."""
        try:
            await self.done()
        finally:
            if self._end is not None:
                self._end.cancel()

    async def _record(self, held: Claim, outcome: Outcome, ack: str, note: Note) -> None:
        job_id = held.message.spec.job_id
        try:
            if await held.end(outcome.state, outcome.result, retryable=outcome.retryable) != "lost":
                await acknowledge(self._bus, ack)
                self._log_end(held, outcome)
        except QgjobError as error:
            # Neither a result nor an ack: the message is redelivered when the lease has run out.
            log.warning("%s: %s: %s", self._slot, job_id, error)
        except Exception:  # one job's trouble must not end the agent, and with it all its other jobs
            log.exception("%s: %s", self._slot, job_id)
        note.clear()  # not when cancelled: the next agent in this folder hands it back

    def _log_end(self, held: Claim, outcome: Outcome) -> None:
        """A line for each attempt, without what the test said: the lab itself forgets jobs after a day."""
        spec, result = held.message.spec, outcome.result
        why = f" ({result.reason})" if result.reason else ""
        took = "" if result.duration_s is None else f", {result.duration_s:.1f} s"
        log.info(
            "%s: %s attempt %d, %r of %s %s: %s%s%s",
            self._slot, spec.job_id, result.number, spec.title, spec.org_id, spec.app_version_id,
            outcome.state, why, took,
        )  # fmt: skip
