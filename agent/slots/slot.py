"""A slot: pulls the work of the group it is bound to, one job at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from agent.attempts.attempt import AttemptRunner
from agent.attempts.identity import Identity
from agent.attempts.lease import lease_of
from agent.slots.delivery_handler import DeliveryHandler
from agent.slots.held_work import HeldWork
from agent.slots.holding import SKEW, Holding
from agent.slots.inbox import Delivery, Inbox
from bus_schemas import streams, subjects
from bus_schemas.agents import Binding, DeviceHealth, SlotNext, SlotState, SlotStatus
from bus_schemas.holds import SlotHold
from bus_schemas.jobs import JobMessage
from qgjob import __version__
from qgjob.bus.connect import Bus
from qgjob.bus.pull import Puller

log = logging.getLogger(__name__)

REPORT_EVERY_S: Final = 15.0
_GONE_PAUSE_S: Final = 0.2


class SlotWorker:
    """The loop of one slot."""

    def __init__(
        self,
        bus: Bus,
        who: Identity,
        runner: AttemptRunner,
        on_change: Callable[[], None],
        *,
        held_work: HeldWork,
        instance: str,
        beside: Callable[[str], int] = lambda _: 1,
    ) -> None:
        """`beside`: how many slots of the agent, this one included, pull from a consumer."""
        self._bus = bus
        self.who = who
        self.runner = runner
        self._on_change = on_change
        self._instance = instance
        self._slots_on_consumer = beside
        self._wake = asyncio.Event()
        self._binding: Binding | None = None
        self._next_binding: Binding | None = None
        self._puller: Puller | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._handler = DeliveryHandler(bus, who, runner, held_work)
        self._inbox = Inbox(bus, held_work, self._handler.read, lambda: self.hold_incompatible("jobs"))
        self._report_due = True
        self._stopping = False
        self._holding = Holding()
        self._last_state = self._holding.state
        self._message: JobMessage | None = None
        self._since = time.time()
        self._health: DeviceHealth | None = None
        self.jobs_done = 0

    # -- what the agent tells it --

    def bind(self, binding: Binding) -> None:
        """Pull from another group from now on; a running job is finished first."""
        self._next_binding = binding
        self._wake.set()

    def request_report(self) -> None:
        """Report again: a scheduler asks for it."""
        self._report_due = True
        self._wake.set()

    def cancel(self, job_id: str, attempt: int, reason: str) -> None:
        """End an attempt if this slot runs it."""
        message = self._message
        if message is not None and message.spec.job_id == job_id and message.attempt == attempt:
            self.runner.cancel(reason)

    def hold(self, by: str, state: SlotState, note: str) -> None:
        """Take nothing more until `release(by)`; a running job is finished.

        `by` names who holds it (`device`, `version`): each has one reason at a time.
        """
        if self._holding.hold(by, state, note):
            self._on_hold_changed()

    def hold_incompatible(self, whose: str) -> None:
        """The agent cannot read what it is sent (`jobs`, `scheduler`): it takes nothing until it can."""
        note = f"this agent (qgjob {__version__}) is too old for the {whose} of this system: upgrade it"
        log.warning("%s: %s", self.who.name, note)
        self.hold(SKEW, "quarantined", note)

    def release(self, by: str) -> None:
        """Work again, unless somebody else holds it too."""
        if self._holding.release(by):
            self._on_hold_changed()

    def apply_hold(self, hold: SlotHold | None) -> None:
        """Operators, or the scheduler, hold the slot or let it work again."""
        self._holding.set_operator_hold(hold)
        self._on_hold_changed()

    def _on_hold_changed(self) -> None:
        before, self._last_state = self._last_state, self._holding.state
        # Orders are repeated, to a new leader's slots too: only another state begins now.
        if self._message is None and self._last_state != before:
            self._since = time.time()
        self._report_due = True
        self._wake.set()
        self._on_change()

    def lose_device(self, why: str) -> None:
        """End the running job: its device is gone. It is not charged to the test."""
        if self._message is not None:
            self.runner.lose_device(why)

    def set_health(self, health: DeviceHealth) -> None:
        """What its device was found to be; the next heartbeat says so."""
        self._health = health

    def stop(self) -> None:
        """Take nothing more; a running job is finished."""
        self._stopping = self._report_due = True
        self._wake.set()

    def hand_back(self) -> None:
        """End a running job without a result: the work stream gives it to somebody else."""
        self.stop()
        self.runner.hand_back()

    # -- what it says of itself --

    @property
    def busy(self) -> bool:
        """Whether a job runs on it, or the end of one is not recorded yet."""
        return self._message is not None or self._handler.recording.pending

    @property
    def consumer(self) -> str | None:
        """The consumer that it pulls from."""
        return self._puller.consumer if self._puller is not None else None

    @property
    def state(self) -> SlotState:
        """As the heartbeat shows it."""
        if self._message is not None:
            return "busy"
        if self._stopping:
            return "draining"
        return self._holding.state

    def status(self) -> SlotStatus:
        """The slot's part of the heartbeat."""
        message = self._message
        return SlotStatus(
            name=self.who.slot,
            driver=self.runner.driver,
            device=self.who.device,
            state=self.state,
            labels=self.runner.labels,
            installed=self.runner.installed(),
            job_id=message.spec.job_id if message else None,
            since=self._since,
            installs=self.runner.installs,
            jobs_done=self.jobs_done,
            note=self._holding.note,
            hold=self._holding.operator_hold,
            health=self._health,
        )

    # -- the loop --

    async def run(self) -> None:
        """Work until stopped."""
        try:
            while not self._stopping:
                await self._apply_changes()
                if not await self._run_next():
                    await self._wait()
        finally:
            await self._handler.recording.close()
            if self._stopping:  # tell the scheduler, so that it releases nothing more for us
                await self._report()
            # The connection closes next, and with it all interest: nothing is delivered any more.
            for task in self._retiring:
                task.cancel()
            if self._puller is not None:
                self._inbox.put_back(self._puller)
                await self._puller.close()

    async def _apply_changes(self) -> None:
        """Follow holds and bindings, and report what changed."""
        if self._holding or self._next_binding is not None or self._report_due:
            await self._wait_until_recorded()
        if self._holding:
            self._next_binding = None
            if self._puller is not None:
                self._unbind()
        if self._next_binding is not None:
            await self._rebind()
        if self._report_due:
            await self._report()

    async def _run_next(self) -> bool:
        """Run the next job, if one has come; False when there is nothing to do but wait."""
        puller = self._puller
        if puller is None:
            return False
        if self._inbox.has_work(puller):
            if delivery := await self._inbox.take(puller, self._ack_wait_s):
                await self._run_job(delivery)
            return True
        if puller.gone:
            await asyncio.sleep(_GONE_PAUSE_S)  # a stream without a leader is gone for seconds
            self._unbind()
            return True
        await puller.request_one()
        return False

    async def _wait_until_recorded(self) -> None:
        """Wait until the last end is recorded, before the slot reports itself free or in another group."""
        loop, puller = asyncio.get_running_loop(), self._puller
        began = loop.time()
        await self._handler.recording.done()
        if puller is not None and loop.time() - began > self._ack_wait_s:
            puller.take()  # discard: redelivered to another slot by now, which a NAK would rob
            self._inbox.drop()

    async def _wait(self) -> None:
        self._wake.clear()
        if self._stopping or self._next_binding is not None or self._report_due:
            return
        if self._puller is not None and self._puller.ready:
            return
        try:
            async with asyncio.timeout(REPORT_EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            self._report_due = True

    async def _rebind(self) -> None:
        binding, self._next_binding = self._next_binding, None
        if binding is None:
            return
        if (
            self._binding is not None
            and self._binding.consumer == binding.consumer
            and self._puller is not None
            and not self._puller.gone
        ):
            self._binding = binding
            return
        self._unbind()
        self._binding = binding
        self._puller = await Puller(
            self._bus, streams.WORK, binding.consumer, wake=self._wake, ours_s=lease_of(binding.ack_wait_s)
        ).start()

    def _unbind(self) -> None:
        if self._puller is not None:
            self._inbox.put_back(self._puller)
            task = asyncio.create_task(self._puller.retire(), name=f"retire {self._puller.consumer}")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        self._puller = self._binding = None
        self._report_due = True

    async def _report(self) -> None:
        self._report_due = False
        message = self._message
        report = SlotNext(
            agent=self.who.agent,
            slot=self.who.slot,
            state=self.state,
            driver=self.runner.driver,
            device=self.who.device,
            labels=self.runner.labels,
            installed=self.runner.installed(),
            bound=self._binding.group if self._binding else None,
            job_id=message.spec.job_id if message else None,
            attempt=message.attempt if message else None,
            closed=self._stopping,
            note=self._holding.note,
            hold=self._holding.operator_hold,
            instance=self._instance,
        )
        with contextlib.suppress(Exception):  # not connected: said again when it is
            await self._bus.nc.publish(subjects.slot_next(self.who.agent, self.who.slot), report.encode())

    @property
    def _ack_wait_s(self) -> float:
        return self._binding.ack_wait_s if self._binding else streams.ACK_WAIT_S

    async def _run_job(self, delivery: Delivery) -> None:
        message = delivery.message
        before = self.runner.installed()
        self.runner.prepare_for_next()
        self._message, self._since = message, time.time()
        self._on_change()
        background = asyncio.create_task(self._report_and_prefetch()) if self.runner.slow(message) else None

        async def on_test_started() -> None:
            puller = self._puller if background is not None and self._takes_next else None
            if puller is not None and delivery.backlog_covers(self._slots_on_consumer(puller.consumer)):
                await puller.request_no_wait()

        try:
            await self._handler.run(delivery, on_test_started=on_test_started)
        finally:
            if background is not None:
                background.cancel()
            self._message, self._since = None, time.time()
            self.jobs_done += 1
            self._on_change()
        if self.runner.installed() != before:
            self._report_due = True

    async def _report_and_prefetch(self) -> None:
        """While a job runs, report when asked to, and prefetch the next job."""
        loop, inbox = asyncio.get_running_loop(), self._inbox
        while True:
            self._wake.clear()
            kept_until = inbox.kept_until
            try:
                async with asyncio.timeout_at(kept_until or loop.time() + REPORT_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                self._report_due = self._report_due or kept_until is None
            if self._report_due:
                await self._report()
            if self._puller is not None:
                await inbox.prefetch(self._puller, self._ack_wait_s, keep=self._takes_next)

    @property
    def _takes_next(self) -> bool:
        """Whether it will take another job of its group, as far as is known now."""
        return not self._stopping and not self._holding and self._next_binding is None
