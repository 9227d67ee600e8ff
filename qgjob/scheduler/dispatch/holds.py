"""Keeps slots from work (operators' holds, quarantines), and tells their agents.

What operators set is kept in the settings: it outlives agents and leaders. A hold works from the moment
the leader knows of it; its agent is told so that it shows it, again and again until its report says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bus_schemas import subjects
from bus_schemas.agents import SlotNext
from bus_schemas.base import OLDEST_SCHEMA, SCHEMA_VERSION
from bus_schemas.control import CtlAnswer
from bus_schemas.holds import HoldKind, SlotHold
from bus_schemas.lab import BuildResumeRequest, HoldOrder, HoldVerb, SlotHolds, SlotsAnswer, SlotsRequest
from bus_schemas.streams import SETTINGS_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.clock import Clock
from qgjob.domain.placement.events import Event, SlotWithheld
from qgjob.domain.placement.model import LabState, Withheld
from qgjob.errors import BadMessageError, NotFoundError, RefusedError
from qgjob.scheduler.dispatch.quarantine import Quarantine
from qgjob.scheduler.dispatch.setting import Setting

log = logging.getLogger(__name__)

KEY: Final = "holds"
MAX_HOLDS: Final = 2000
_EVERY_S: Final = 0.25
_KINDS: Final[dict[HoldVerb, HoldKind]] = {
    "drain": "draining",
    "pause": "paused",
    "quarantine": "quarantined",
    "reserve": "reserved",
}


@dataclass(slots=True)
class Holds:
    """The holds of slots, as one reign keeps them."""

    bus: Bus
    clock: Clock
    epoch: int
    state: LabState
    feed: Callable[..., None]
    agents: dict[str, set[str]]
    """Slots by agent, as far as they are connected."""
    quarantine: Quarantine = field(init=False)
    _operator_holds: dict[str, SlotHold] = field(default_factory=dict[str, SlotHold])
    _incompatible: dict[str, SlotHold] = field(default_factory=dict[str, SlotHold])
    """Slots of agents of a release that this scheduler does not work with."""
    _setting: Setting = field(init=False)
    _outbox: deque[str] = field(default_factory=deque[str])
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.quarantine = Quarantine(self.bus, self.clock, self.state, self.refresh)
        self._setting = Setting(self.bus, KEY, self._apply)

    async def load(self) -> None:
        """Read what operators set, and what counts against slots; what cannot be read stops nobody."""
        await self._setting.load()
        self.feed(*await self.quarantine.load())

    async def run(self) -> None:
        """Lift holds whose time is over, and tell agents; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._setting.run(), name="holds: follow")
            tasks.create_task(self._send_orders(), name="holds: orders")
            tasks.create_task(self.quarantine.run(self.feed), name="quarantine")
            while True:
                await asyncio.sleep(_EVERY_S)
                now = self.clock.now()
                over = {
                    name
                    for name, hold in self._operator_holds.items()
                    if hold.until is not None and hold.until <= now
                }
                if over:
                    await self._change(lambda holds, over=over: [h for h in holds if h.name not in over])

    def hold_of(self, slot: str) -> SlotHold | None:
        """The hold of a slot: its agent's release does not fit, an operator's hold, or its quarantine."""
        agent = slot.rpartition("/")[0]
        return (
            self._incompatible.get(slot)
            or self._operator_holds.get(slot)
            or self._operator_holds.get(agent)
            or self.quarantine.quarantine_of(slot)
        )

    def all(self) -> list[SlotHold]:
        """Every hold, by name; a quarantine of our own only where no operator set something else."""
        own = [self.quarantine.quarantine_of(name) for name in self.quarantine.quarantined()]
        found = {hold.name: hold for hold in own if hold is not None} | self._operator_holds
        connected = set[str]().union(*self.agents.values())
        found |= {name: hold for name, hold in self._incompatible.items() if name in connected}
        return [found[name] for name in sorted(found)]

    def refresh(self, slots: Iterable[str]) -> list[Event]:
        """The placement events for slots whose hold may have changed; their agents are told."""
        events: list[Event] = []
        for slot in slots:
            wanted = _withheld(self.hold_of(slot))
            if self.state.withheld.get(slot) != wanted:
                events.append(SlotWithheld(slot, wanted))
                self._queue_order(slot)
        return events

    def on_report(self, slot: str, report: SlotNext) -> list[Event]:
        """Check a slot's report against its hold; returns placement events that precede the slot's own."""
        self._check_release(slot, report.schema_version)
        if report.hold != self.hold_of(slot):
            self._queue_order(slot)
        return self.refresh([slot])

    def _check_release(self, slot: str, schema: int) -> None:
        why = release_problem(schema)
        if why is None:
            self._incompatible.pop(slot, None)
        elif slot not in self._incompatible or self._incompatible[slot].note != why:
            log.warning("slot %s gets no work: %s", slot, why)
            now = self.clock.now()
            self._incompatible[slot] = SlotHold(
                name=slot, kind="quarantined", by="scheduler", since=now, note=why
            )

    async def control(self, data: bytes) -> SlotsAnswer:
        """The control verb `slots`; raises `NotFoundError` and `RefusedError`."""
        request = SlotsRequest.decode(data)
        name, slots = self._resolve(request)
        if request.verb == "resume":
            resumed = await self._resume(name, slots)
            log.info("%s is resumed by %s%s", name, request.by, f": {request.note}" if request.note else "")
            return resumed
        now = self.clock.now()
        hold = SlotHold(
            name=name,
            kind=_KINDS[request.verb],
            by=request.by,
            since=now,
            note=request.note,
            until=None if request.for_s is None else now + request.for_s,
        )
        if request.verb == "reserve":
            self._refuse_held(name, request.by)
        await self._change(lambda holds: [*(h for h in holds if h.name != name), hold])
        return self._answer(slots, hold, changed=True)

    async def resume_build(self, data: bytes) -> CtlAnswer:
        """The control verb `build_resume`; raises `NotFoundError` when that build is not held."""
        request = BuildResumeRequest.decode(data)
        events = self.quarantine.pardon_build(request.org_id, request.app_version_id)
        if not events:
            raise NotFoundError(
                f"The build {request.app_version_id} of {request.org_id} is not held.",
                hint="`qgjob queue status` shows the builds that are.",
            )
        self.feed(*events)
        return CtlAnswer()

    def _resolve(self, request: SlotsRequest) -> tuple[str, list[str]]:
        """The full name of the slot or agent that is meant, and its connected slots."""
        name = request.name.strip("/")
        if name in self.agents:
            slots = sorted(self.agents[name])
            if request.verb == "reserve":
                if len(slots) != 1:
                    raise RefusedError(
                        f"{name} has {len(slots)} slots; one of them can be reserved.",
                        hint=f"Name it, such as {slots[0] if slots else name + '/s0'}.",
                    )
                return slots[0], slots
            return name, slots
        if name in self.agents.get(name.rpartition("/")[0], ()):
            return name, [name]
        if name in self._operator_holds or any(held.startswith(f"{name}/") for held in self._operator_holds):
            return name, []  # it is not connected, but what was set for it can be changed
        raise NotFoundError(
            f"There is no agent or slot {name!r}.", hint="`qgjob agents list` shows the slots there are."
        )

    def _refuse_held(self, name: str, by: str) -> None:
        there = self._operator_holds.get(name) or self._operator_holds.get(name.rpartition("/")[0])
        if there is not None and not (there.kind == "reserved" and there.by == by):
            raise RefusedError(
                f"{name} is {there.kind} by {there.by} already.",
                hint=f"Wait, or let it go: qgjob agents resume {there.name}",
            )

    async def _resume(self, name: str, slots: list[str]) -> SlotsAnswer:
        agent = name.rpartition("/")[0]
        if agent in self._operator_holds and name not in self.agents:
            raise RefusedError(
                f"{agent} is {self._operator_holds[agent].kind} as a whole, and {name} with it.",
                hint=f"Let all of it go: qgjob agents resume {agent}",
            )
        kept_back = {slot for slot in slots if self.hold_of(slot) is not None}
        gone = {held for held in self._operator_holds if held == name or held.startswith(f"{name}/")}
        if gone:
            await self._change(lambda holds: [h for h in holds if h.name not in gone])
        pardoned = self.quarantine.pardon(slots)
        self.feed(*self.refresh(slots))
        freed = [slot for slot in slots if slot in kept_back | pardoned and self.hold_of(slot) is None]
        return self._answer(freed, None, changed=bool(gone or pardoned))

    def _answer(self, slots: list[str], hold: SlotHold | None, *, changed: bool) -> SlotsAnswer:
        running = {
            name: next((job for job, released in slot.assigned.items() if released.started), None)
            for name in slots
            if (slot := self.state.slots.get(name)) is not None
        }
        return SlotsAnswer(
            slots=tuple(slots),
            running={name: job for name, job in running.items() if job is not None},
            hold=hold,
            changed=changed,
        )

    # -- what is kept --

    async def _change(self, change: Callable[[list[SlotHold]], list[SlotHold]]) -> None:
        """Apply a change to the stored holds by compare-and-set, and put it into force."""

        def updated() -> bytes:
            holds = change(list(self._operator_holds.values()))
            if len(holds) > MAX_HOLDS:
                raise RefusedError(f"{MAX_HOLDS} slots and agents are held already; resume some first.")
            return SlotHolds(holds=tuple(holds)).encode()

        await self._setting.change(
            updated, "The slots are being held or resumed by somebody else; try again."
        )

    def _apply(self, data: bytes) -> None:
        try:
            self._operator_holds = {hold.name: hold for hold in SlotHolds.decode(data).holds}
        except BadMessageError as error:
            log.warning("what operators hold cannot be read, what was before stays in force: %s", error)
            return
        known = {slot for slots in self.agents.values() for slot in slots}
        self.feed(*self.refresh(sorted(known | set(self.state.withheld))))

    # -- telling agents --

    def _queue_order(self, slot: str) -> None:
        self._outbox.append(slot)
        self._wake.set()

    async def _send_orders(self) -> None:
        while True:
            while self._outbox:
                name = self._outbox.popleft()
                agent, _, slot = name.rpartition("/")
                order = HoldOrder(agent=agent, slot=slot, epoch=self.epoch, hold=self.hold_of(name))
                await self.bus.nc.publish(subjects.agent_verb(agent, "hold"), order.encode())
            self._wake.clear()
            await self._wake.wait()


async def read_holds(bus: Bus) -> Sequence[SlotHold]:
    """What operators set, for whoever does not lead; nothing when it cannot be read."""
    stored = await kv.get(bus, SETTINGS_BUCKET, KEY)
    if stored is None or stored.deleted:
        return ()
    try:
        return SlotHolds.decode(stored.data).holds
    except BadMessageError:
        return ()


def release_problem(schema: int) -> str | None:
    """Why no agent that writes this schema version can work for this scheduler; None when it can."""
    if schema > SCHEMA_VERSION:
        return (
            f"this agent is newer than its scheduler, which reads schema versions up to {SCHEMA_VERSION} "
            f"and not {schema}: upgrade the scheduler"
        )
    if schema < OLDEST_SCHEMA:
        return (
            f"this agent is too old for its scheduler, which reads schema versions from {OLDEST_SCHEMA} "
            f"and not {schema}: upgrade the agent"
        )
    return None


def _withheld(hold: SlotHold | None) -> Withheld | None:
    """A hold as the placement core takes it."""
    if hold is None:
        return None
    return Withheld(hold.kind, hold_text(hold), hold.until, hold.name)


def hold_text(hold: SlotHold) -> str:
    """Who holds a slot, and why: `paused by ann: a new cable`."""
    text = f"{hold.kind} by {'the scheduler' if hold.by == 'scheduler' else hold.by}"
    return f"{text}: {hold.note}" if hold.note else text
