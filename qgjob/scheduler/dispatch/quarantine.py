"""Quarantines failing slots and holds failing builds: fed by ends of attempts, kept for the next leader."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.events import Ended, TakenOver
from bus_schemas.holds import BuildHold, SlotHold
from bus_schemas.lab import LabHealth
from bus_schemas.streams import SETTINGS_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.clock import Clock
from qgjob.domain import health
from qgjob.domain.health import Change, Health
from qgjob.domain.health_stored import from_message, to_message
from qgjob.domain.placement.events import BuildWithheld, Event, SlotProbed
from qgjob.domain.placement.model import LabState, Withheld
from qgjob.domain.retry import POISONOUS
from qgjob.errors import BadMessageError, QgjobError

log = logging.getLogger(__name__)

KEY: Final = "health"
_EVERY_S: Final = 0.25
_FORGET_EVERY: Final = 240
_NOBODYS: Final = frozenset({POISONOUS, "takeovers", "lost"})
"""Reasons of errors that say nothing of the slot that recorded them."""


@dataclass(slots=True)
class Quarantine:
    """Turns ends of attempts into quarantines and holds of builds."""

    bus: Bus
    clock: Clock
    state: LabState
    changed: Callable[[Iterable[str]], list[Event]]
    """Called with slots whose quarantine began or ended; returns the events for the placement core."""
    health: Health = field(default_factory=Health)
    _dirty: bool = False

    async def load(self) -> list[Event]:
        """Read what earlier reigns recorded; returns the events for what is in force of it."""
        stored = await kv.get(self.bus, SETTINGS_BUCKET, KEY)
        if stored is None or stored.deleted:
            return []
        try:
            self.health = from_message(LabHealth.decode(stored.data))
        except BadMessageError as error:
            log.warning("what was known of failing slots and builds cannot be read: %s", error)
            return []
        return self._events(health.changes_to_restore(self.health))

    async def run(self, feed: Callable[..., None]) -> None:
        """End quarantines and holds when their time is over, and persist the records, until cancelled."""
        for round_ in itertools.count(1):
            await asyncio.sleep(_EVERY_S)
            if round_ % _FORGET_EVERY == 0 and (
                freed := health.forget_gone(self.health, self.state.slots, self.clock.now())
            ):
                feed(*self._take(freed))
            due = health.next_change(self.health)
            if due is not None and due <= self.clock.now():
                feed(*self._take(health.tick(self.health, self.clock.now())))
            if self._dirty:
                await self._save()

    def ended(self, event: Ended, requires: Callable[[], frozenset[str]]) -> list[Event]:
        """An attempt ended; `requires` gives the labels of its job."""
        result = event.result
        if result.agent is None or result.slot is None:
            return []
        slot, build = f"{result.agent}/{result.slot}", (event.org_id, event.app_version_id)
        if event.state in {"passed", "failed"}:
            known = build in self.health.good and slot not in self.health.slots
            changes = health.on_ran(self.health, event.run_id, build, slot)
            self._dirty = self._dirty or not known
            return self._events(changes)
        if event.state != "errored" or not event.retryable or result.reason in _NOBODYS:
            return []
        why = result.message or result.reason or ""
        machines = result.reason in health.MACHINE_REASONS
        return self._failed(event, build, slot, why, requires(), machines=machines)

    def taken_over(self, event: TakenOver, requires: Callable[[], frozenset[str]]) -> list[Event]:
        """A slot was lost under its job."""
        if not event.lost:
            return []
        build = (event.org_id, event.app_version_id)
        return self._failed(event, build, event.lost[-1], "it was lost with its job", requires())

    def pardon(self, slots: Iterable[str]) -> set[str]:
        """An operator vouches for these slots: clear their records; returns those that had one."""
        done = {slot for slot in slots if health.pardon_slot(self.health, slot)}
        self._dirty = self._dirty or bool(done)
        return done

    def pardon_build(self, org_id: str, app_version_id: str) -> list[Event]:
        """An operator vouches for a build; returns the events for the core, none when it is not held."""
        if not health.pardon_build(self.health, (org_id, app_version_id)):
            return []
        return self._take([health.BuildFreed((org_id, app_version_id))])

    def quarantine_of(self, slot: str) -> SlotHold | None:
        """The quarantine that the scheduler put a slot into."""
        record = self.health.slots.get(slot)
        if record is None or record.until is None:
            return None
        return SlotHold(
            name=slot,
            kind="quarantined",
            by="scheduler",
            since=record.since or record.until,
            note=record.why[:4000],
            until=record.until,
        )

    def quarantined(self) -> list[str]:
        """All slots that the scheduler put into quarantine."""
        return [name for name, record in self.health.slots.items() if record.until is not None]

    def builds_held(self) -> list[BuildHold]:
        """All builds that are held."""
        return [
            BuildHold(
                org_id=org, app_version_id=version, why=r.why[:4000], since=r.since or r.until, until=r.until
            )
            for (org, version), r in self.health.builds.items()
            if r.until is not None
        ]

    def _failed(
        self,
        event: Ended | TakenOver,
        build: health.Build,
        slot: str,
        reason: str,
        labels: frozenset[str],
        *,
        machines: bool = False,
    ) -> list[Event]:
        slots = self.state.slots
        able = sum(1 for other in slots.values() if labels <= other.labels)
        failure = health.Failure(
            event.job_id, build, slot, reason[:200], len(slots), able, event.run_id, machines
        )
        return self._take(health.on_failed(self.health, failure, self.clock.now()))

    def _take(self, changes: list[Change]) -> list[Event]:
        self._dirty = True
        return self._events(changes)

    def _events(self, changes: list[Change]) -> list[Event]:
        events: list[Event] = []
        touched: dict[str, None] = {}
        for change in changes:
            match change:
                case health.Quarantined(slot, why, _):
                    log.warning("slot %s is put into quarantine: %s", slot, why)
                    touched[slot] = None
                    events.append(SlotProbed(slot, False))
                case health.Probing(slot):
                    log.info("slot %s gets a job as a probe", slot)
                    touched[slot] = None
                    events.append(SlotProbed(slot, True))
                case health.Freed(slot):
                    log.info("slot %s works as others do", slot)
                    touched[slot] = None
                    events.append(SlotProbed(slot, False))
                case health.BuildHeld(build, why, until):
                    log.warning("build %s of %s is held: %s", build[1], build[0], why)
                    events.append(BuildWithheld(build, Withheld("build_held", why, until)))
                case health.BuildFreed(build):
                    log.info("build %s of %s may start again", build[1], build[0])
                    events.append(BuildWithheld(build, None))
        return [*events, *self.changed(touched)]

    async def _save(self) -> None:
        self._dirty = False
        data = to_message(self.health).encode()
        try:
            await kv.put(self.bus, SETTINGS_BUCKET, KEY, data)
        except QgjobError as error:
            log.warning("what is known of failing slots and builds could not be kept: %s", error)
            self._dirty = True
