"""The agent service: runs the slots, sends heartbeats, and handles the scheduler's commands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.attempts.attempt import AttemptRunner
from agent.heartbeats import Heartbeats
from agent.slots.held_work import HeldWork
from agent.slots.holding import SKEW
from agent.slots.roster import DeviceRoster
from agent.slots.slot import SlotWorker
from bus_schemas import subjects
from bus_schemas.agents import Binding, CancelAttempt, Heartbeat, Hello
from bus_schemas.base import SCHEMA_VERSION
from bus_schemas.lab import HoldOrder
from bus_schemas.queries import Query
from bus_schemas.streams import AGENTS_BUCKET
from bus_schemas.tokens import encode_token
from qgjob import __version__
from qgjob.bus import kv
from qgjob.bus.account import user_of
from qgjob.bus.connect import Bus
from qgjob.errors import BadMessageError, NewerMessageError, NotAllowedError, QgjobError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

_HAND_BACK_S: Final = 10.0
SURE_AFTER_S: Final = 10.0
"""A stream that lost the server which leads it is back within these."""


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How an agent is to run."""

    name: str
    data_dir: Path
    grace_s: float | None = None
    """How long running jobs may go on after a stop before they are handed back; None: to their end."""
    runners: tuple[str, ...] = ()
    """The names of the runners there are, sorted."""


class Agent:
    """All slots of one machine, on one connection."""

    def __init__(self, bus: Bus, options: AgentOptions, roster: DeviceRoster) -> None:
        self._bus = bus
        self._options = options
        self._roster = roster
        self._started_at = time.time()
        self._state = "up"
        self._epoch = 0
        """Of the latest leader: what earlier ones send is not followed."""
        self._instance = secrets.token_hex(8)
        self._held_work = HeldWork(options.data_dir / "held")
        self._slots: dict[str, SlotWorker] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._beats = Heartbeats(bus, options.name, options.data_dir, self._heartbeat)

    async def run(
        self, stop: asyncio.Event, ready: asyncio.Event, hurry: asyncio.Event | None = None
    ) -> None:
        """Run until `stop` is set and the running jobs are finished, or handed back: at once with `hurry`.

        Raises `RefusedError` when another agent has the name: at the start, or later, when running jobs are
        handed back first; and what the driver raises when it finds that this machine cannot have its devices.
        """
        await self._beats.begin()
        if handed_back := await self._held_work.hand_back(self._bus):
            log.info("%d jobs that the former agent held when it was killed are handed back", handed_back)
        nc = self._bus.nc
        subscriptions = [
            await nc.subscribe(subjects.agent_all(self._options.name), cb=self._on_command),
            await nc.subscribe(subjects.HELLO, cb=self._on_hello),
        ]
        self._bus.on_reconnect.append(self._on_reconnect)
        try:
            await self._roster.begin(self._add_slot)
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                beside = [
                    tasks.create_task(self._beats.run(), name="heartbeat"),
                    tasks.create_task(self._roster.run(self._add_slot), name="roster"),
                ]
                for slot in self._slots.values():
                    self._start(slot)
                ready.set()
                await _either(stop, self._beats.taken)
                await self._drain(self._beats.taken if self._beats.twin else hurry or asyncio.Event())
                for task in beside:
                    task.cancel()
        finally:
            self._bus.on_reconnect.remove(self._on_reconnect)
            for subscription in subscriptions:
                with contextlib.suppress(Exception):  # the connection may be gone already
                    await subscription.unsubscribe()
            self._state = "gone"
            await self._beats.say_goodbye()
            await self._roster.close()
            closing = (slot.runner.close() for slot in self._slots.values())
            await asyncio.gather(*closing, return_exceptions=True)
        if self._beats.twin is not None:
            raise self._beats.twin

    def _add_slot(self, runner: AttemptRunner) -> SlotWorker:
        """Add a slot for a new device."""
        slot = SlotWorker(
            self._bus,
            runner.who,
            runner,
            self._beats.changed,
            held_work=self._held_work,
            instance=self._instance,
            beside=lambda consumer: sum(other.consumer == consumer for other in self._slots.values()),
        )
        self._slots[runner.who.slot] = slot
        if self._tasks is not None:
            self._start(slot)
        self._beats.changed()
        return slot

    def _start(self, slot: SlotWorker) -> None:
        if self._tasks is not None and self._state == "up":
            self._workers.append(self._tasks.create_task(slot.run(), name=f"slot {slot.who.slot}"))

    async def _drain(self, hurry: asyncio.Event) -> None:
        self._state = "draining"
        self._beats.changed()
        for slot in self._slots.values():
            slot.stop()
        hurried = asyncio.create_task(hurry.wait(), name="hurry")
        finished = asyncio.create_task(_wait(self._workers, self._options.grace_s), name="drain")
        await asyncio.wait((hurried, finished), return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        finished.cancel()
        busy = {worker for worker in self._workers if not worker.done()}
        if busy:
            log.info("%d running jobs are handed back", len(busy))
            for slot in self._slots.values():
                slot.hand_back()
            _, busy = await _wait(self._workers, _HAND_BACK_S)
        for worker in busy:  # its server is away: its job is redelivered when the lease has run out
            worker.cancel()

    async def _on_command(self, msg: Msg) -> None:
        verb = msg.subject.rpartition(".")[2]
        try:
            if verb == "bind":
                binding = Binding.decode(msg.data)
                if binding.epoch < self._epoch:
                    return
                self._epoch = binding.epoch
                if slot := self._slots.get(binding.slot):
                    slot.bind(binding)
            elif verb == "hold":
                told = HoldOrder.decode(msg.data)
                if told.epoch >= self._epoch and (slot := self._slots.get(told.slot)):
                    slot.apply_hold(told.hold)
            elif verb == "cancel":
                order = CancelAttempt.decode(msg.data)
                for slot in self._slots.values():
                    slot.cancel(order.job_id, order.attempt, order.reason)
        except NewerMessageError:
            for slot in self._slots.values():
                slot.hold_incompatible("scheduler")
        except BadMessageError as error:
            log.warning("ignored a message on %s: %s", msg.subject, error)

    async def _on_hello(self, msg: Msg) -> None:
        try:
            hello = Hello.decode(msg.data)
        except BadMessageError as error:
            log.warning("ignored a message on %s: %s", msg.subject, error)
        else:
            self._epoch = hello.epoch
            if hello.v <= SCHEMA_VERSION:  # the leader that was too new for us is gone
                for slot in self._slots.values():
                    slot.release(SKEW)
        self._present_slots()

    def _on_reconnect(self) -> None:
        self._epoch = 0  # it may be another server, whose epochs begin anew
        self._present_slots()

    def _present_slots(self) -> None:
        self._beats.changed()
        for slot in self._slots.values():
            slot.request_report()

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat.model_validate(
            {
                "agent": self._options.name,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "version": __version__,
                "started_at": self._started_at,
                "at": time.time(),
                "state": self._state,
                "slots": tuple(slot.status() for slot in self._slots.values()),
                "runners": self._options.runners,
            }
        )


async def _either(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _wait(
    workers: list[asyncio.Task[None]], timeout_s: float | None
) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
    return await asyncio.wait(workers, timeout=timeout_s) if workers else (set(), set())


async def wait_for_streams(bus: Bus, name: str) -> None:
    """Wait until the agents' heartbeats can be stored: schedulers make the streams, and lab machines may not.

    Raises `NotAllowedError` where these are not the credentials of an agent.
    """
    time = asyncio.get_running_loop().time
    user: str | None = None
    answered_since: float | None = None
    while True:
        try:
            await kv.get(bus, AGENTS_BUCKET, encode_token(name), timeout=2.0)
        except NotAllowedError:
            raise
        except QgjobError as error:
            why = error.message
        else:
            return
        if user is None:
            user = await user_of(bus) or ""
            log.warning(
                "waiting for a scheduler, which makes the streams; "
                "if one runs, these may be the credentials of another role%s: %s",
                user and f" ({user})",
                why,
            )
        if not user or not await _scheduler_answers(bus):  # without accounts there is no other role
            answered_since = None
        elif time() - (answered_since := answered_since or time()) >= SURE_AFTER_S:
            raise NotAllowedError(
                f"A scheduler answers, but {user} is no agent: {why}",
                hint="Agents need credentials of their own (AGENTS in deploy/accounts.conf).",
            )
        await asyncio.sleep(0.5)


async def _scheduler_answers(bus: Bus) -> bool:
    """Whether one is there and we may ask it; agents may not."""
    try:
        await bus.requests.request(subjects.query("overview"), Query().encode(), timeout=2.0)
    except QgjobError:
        return False
    return True
