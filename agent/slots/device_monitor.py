"""Watches the health of one device: holds its slot while it is unwell, and tries to recover it.

A slot is held while its device is away, does not answer, or is not well enough, and released by itself.
A device that leaves during a job and is not back soon ends the job: that is the lab's trouble, so the job
runs elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from typing import Final, Protocol

from agent.drivers.base import Device, Health, Presence
from agent.drivers.ownership import TAKEN
from agent.errors import JobError
from agent.slots.holding import DEVICE
from bus_schemas.agents import DeviceHealth, SlotState
from qgjob.errors import QgjobError
from qgjob.waiting import set_within

log = logging.getLogger(__name__)

POLL_S: Final = 30.0
"""How often a device that is well is looked at between jobs."""
LOST_AFTER_S: Final = 5.0
"""How long a device may be away before its job is given up: a cable that is touched is back sooner."""
OPEN_S: Final = 30.0
HEALTH_S: Final = 60.0
RECOVER_S: Final = 120.0
SILENT_PAUSES_S: Final = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Between two tries to bring a device back that does not answer; the last is repeated."""


class MonitoredSlot(Protocol):
    """What a monitor needs of its slot."""

    @property
    def busy(self) -> bool:
        """Whether a job runs on it."""
        ...

    def hold(self, by: str, state: SlotState, note: str) -> None:
        """Take nothing more."""

    def release(self, by: str) -> None:
        """Work again."""

    def lose_device(self, why: str) -> None:
        """End the running job: its device is gone."""

    def set_health(self, health: DeviceHealth) -> None:
        """Show the device's health in the heartbeat."""


class DeviceMonitor:
    """Watches one device and holds its slot, for as long as the agent runs."""

    def __init__(self, device: Device, slot: MonitoredSlot, *, lost_after_s: float = LOST_AFTER_S) -> None:
        self._device = device
        self._slot = slot
        self._lost_after_s = lost_after_s
        self._present = False
        self._note = "it is not there"
        self._away_since: float | None = None
        self._open = False
        self._doubt: str | None = None
        self._failures = 0
        self._wake = asyncio.Event()
        self.first_check_done = asyncio.Event()
        """Set when it has been looked at once."""
        device.on_doubt = self._on_doubt

    def on_presence(self, presence: Presence) -> None:
        """The driver says that the device came or went."""
        self._present, self._note = presence.present, presence.note
        if presence.present:
            self._away_since = None
        else:
            self._open = False
            self._away_since = self._away_since or asyncio.get_running_loop().time()
            self._slot.set_health(DeviceHealth(at=time.time(), ok=False))
            self._hold("lost", self._note)
        self._failures = 0
        self._wake.set()

    def _on_doubt(self, note: str) -> None:
        self._doubt = note
        self._hold("quarantined", note)
        self._wake.set()

    async def run(self) -> None:
        """Look after the device until cancelled."""
        while True:
            self._wake.clear()
            pause = await self.check()
            self.first_check_done.set()
            await set_within(self._wake, pause)

    async def check(self) -> float:
        """Check once and act on it; returns in how many seconds to check again."""
        try:
            if not self._present:
                return await self._check_absent()
            if self._slot.busy and self._open:
                return POLL_S  # its job checks it; a doubt that the job leaves is looked into afterwards
            return await self._check_present()
        except QgjobError as error:
            return self._on_failure(error.message)
        except TimeoutError:
            return self._on_failure("the device takes too long to answer")
        except Exception as error:  # a fault of one driver must not end the agent with all its slots
            log.exception("%s: looking after the device", self._device.name)
            return self._on_failure(f"the driver met an error: {error or type(error).__name__}")

    async def _check_absent(self) -> float:
        self._hold("lost", self._note)
        if self._slot.busy:
            away = asyncio.get_running_loop().time() - (self._away_since or 0)
            if away < self._lost_after_s:
                return self._lost_after_s - away
            self._slot.lose_device(f"the device {self._device.name} is gone: {self._note}")
            return POLL_S
        async with asyncio.timeout(RECOVER_S):
            await self._device.recover()  # the driver says when it is there again
        return self._next_delay()

    async def _check_present(self) -> float:
        if not self._open:
            await self._open_device()
        self._doubt = None
        async with asyncio.timeout(HEALTH_S):
            health = await self._device.health()
        if not health.ok and health.silent:
            self._hold("quarantined", health.detail or "the device does not answer")
            async with asyncio.timeout(RECOVER_S):
                health = await self._device.recover()
        return self._on_health(health)

    async def _open_device(self) -> None:
        try:
            async with asyncio.timeout(OPEN_S):
                await self._device.open()
        except (JobError, TimeoutError) as error:
            if isinstance(error, JobError) and error.reason == TAKEN:
                raise  # not ours to tamper with
            async with asyncio.timeout(RECOVER_S):
                health = await self._device.recover()
            if not health.ok:
                raise
            async with asyncio.timeout(OPEN_S):
                await self._device.open()
        self._open = True

    def _on_health(self, health: Health) -> float:
        self._slot.set_health(device_health(health, time.time()))
        if not self._present:
            return 0.0
        if not health.ok:
            self._hold("quarantined", health.detail or "the device is not well")
            return self._next_delay() if health.silent else POLL_S
        self._failures = 0
        if self._doubt is None:
            self._slot.release(DEVICE)
        # Not all devices of a host at once.
        return POLL_S * (1 + zlib.crc32(self._device.name.encode()) % 256 / 1024)

    def _on_failure(self, note: str) -> float:
        self._open = False
        self._slot.set_health(DeviceHealth(at=time.time(), ok=False))
        self._hold("quarantined" if self._present else "lost", note if self._present else self._note)
        return self._next_delay()

    def _next_delay(self) -> float:
        pause = SILENT_PAUSES_S[min(self._failures, len(SILENT_PAUSES_S) - 1)]
        self._failures += 1
        return pause

    def _hold(self, state: SlotState, note: str) -> None:
        self._slot.hold(DEVICE, state, note)


def device_health(health: Health, at: float) -> DeviceHealth:
    """A driver's health as the heartbeat carries it, without impossible figures."""
    battery, heat, free = health.battery_percent, health.temperature_c, health.free_mib
    return DeviceHealth(
        at=at,
        ok=health.ok,
        battery_percent=battery if battery is not None and 0 <= battery <= 100 else None,
        temperature_c=heat if heat is not None and -100 <= heat <= 300 else None,
        free_mib=free if free is not None and free >= 0 else None,
    )
