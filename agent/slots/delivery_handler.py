"""Handles one delivered message of a slot: checks it, claims its attempt, runs it, records its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from agent.attempts.attempt import AttemptRunner
from agent.attempts.claim import claim
from agent.attempts.identity import Identity
from agent.attempts.lease import acknowledge
from agent.slots.held_work import HeldWork
from agent.slots.inbox import Delivery
from agent.slots.recording import Recording
from bus_schemas import streams
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus
from qgjob.bus.deadletters import set_aside
from qgjob.bus.follow import stream_message
from qgjob.bus.pull import NAK
from qgjob.errors import BadMessageError, NewerMessageError, QgjobError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

_AVOID_DELAY_S: Final = 0.2
_AVOID_TRIES: Final = 10


class DeliveryHandler:
    """Handles the messages of one slot, one at a time."""

    def __init__(self, bus: Bus, who: Identity, runner: AttemptRunner, held_work: HeldWork) -> None:
        self._bus = bus
        self._who = who
        self._runner = runner
        self._held_work = held_work
        self.recording = Recording(bus, who.name)

    async def read(self, msg: Msg) -> JobMessage | None:
        """The job of a message; None when it is not for this slot: it was handed back or set aside.

        Raises `NewerMessageError` when this agent is too old for it; it was handed back.
        """
        try:
            message = JobMessage.decode(msg.data)
        except NewerMessageError:
            # Nothing is wrong with the job: another slot, or this one after an upgrade, can run it.
            await self._bus.nc.publish(msg.reply, NAK)
            raise
        except BadMessageError as error:
            if await set_aside(self._bus, streams.WORK, msg.subject, msg.data, str(error)):
                await acknowledge(self._bus, msg.reply)
            return None
        delivered = stream_message(msg).delivered
        if self._who.name in message.avoid and delivered <= _AVOID_TRIES:
            # Meant for another slot of the group, which pulls beside us: let it have it.
            body = json.dumps({"delay": int(_AVOID_DELAY_S * streams.SECOND_NS)}).encode()
            await self._bus.nc.publish(msg.reply, NAK + b" " + body)
            return None
        return message

    async def run(self, delivery: Delivery, *, on_test_started: Callable[[], Awaitable[None]]) -> None:
        """Claim an attempt and run it; its end is recorded in the background.

        `on_test_started` is awaited when it is claimed, right before the run.
        What goes wrong is logged: the work stream then gives the job again when its lease has run out.
        """
        try:
            await self._attempt(delivery, on_test_started)
        except QgjobError as error:
            log.warning("%s: %s: %s", self._who.name, delivery.message.spec.job_id, error)
        except Exception:  # one job's trouble must not end the agent, and with it all its other jobs
            log.exception("%s: %s", self._who.name, delivery.message.spec.job_id)

    async def _attempt(self, delivery: Delivery, on_test_started: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        message, ack, ack_wait_s = delivery.message, delivery.ack, delivery.ack_wait_s
        ours_until = delivery.ours_until
        # Before the claim: killed right after it, it is handed back.
        note = delivery.with_note(self._held_work)
        try:
            held = await claim(
                self._bus,
                message,
                self._who,
                await self._runner.phase(message),
                nonce=delivery.nonce,
                ours_until=ours_until,
            )
        except BaseException:  # also a cancel: no note is left of what was not claimed
            delivery.forget()
            raise
        await self.recording.done()  # a slot records one result at a time
        if held is None:
            note.clear()
            await acknowledge(self._bus, ack)
            return
        await on_test_started()

        def renewed(left_s: float) -> None:
            nonlocal ours_until
            ours_until = loop.time() + left_s
            note.update(left_s)

        try:
            outcome = await self._runner.run(
                held, ack, ack_wait_s, since=delivery.received_at, on_renewed=renewed
            )
        except Exception:  # nobody runs it any more, so a later start has nothing to hand back
            note.clear()
            raise
        if outcome is None:
            await held.give_up()
            # After the lease another slot may have the message, and a NAK would take it away.
            if not self._runner.lost_lease and loop.time() < ours_until:
                await self._bus.nc.publish(ack, NAK)
            note.clear()
            return
        self.recording.begin(held, outcome, ack, note)
        await asyncio.sleep(0)  # let the end be sent before the next claim
