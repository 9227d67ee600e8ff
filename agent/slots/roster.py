"""Keeps one slot for each device that the driver finds, for as long as the agent runs.

A device that leaves keeps its slot, held, so that an operator sees what is missing; when it comes back, so
does the slot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

from agent.attempts.attempt import AttemptRunner
from agent.drivers.base import Device, Driver, Presence
from agent.slots.device_monitor import DeviceMonitor
from agent.slots.slot import SlotWorker
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)

FIRST_LOOK_S: Final = 5.0
"""How long the agent's start waits for its devices; those that answer later join later."""
_AGAIN_S: Final = 5.0

MakeRunner = Callable[[Device], AttemptRunner]
AddSlot = Callable[[AttemptRunner], SlotWorker]


class DeviceRoster:
    """Follows a driver's devices: `begin`, then `run`, then `close`."""

    def __init__(self, driver: Driver, make_runner: MakeRunner, labelled: Collection[str] = ()) -> None:
        """`labelled`: the devices that the configuration gives labels to, by name or serial."""
        self._driver = driver
        self._make_runner = make_runner
        self._labelled_devices = labelled
        self._monitors: dict[str, DeviceMonitor] = {}
        self._devices: dict[str, Device] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, add_slot: AddSlot) -> None:
        """Add a slot for each device there is. Raises what `discover` raises, a fault as `QgjobError`."""
        for presence in await self._discovered():
            self._on_presence(presence, add_slot)
        if self._monitors:
            log.info("driver %s: %d devices", self._driver.name, len(self._monitors))
        else:
            log.warning("driver %s: no device yet; what comes later joins by itself", self._driver.name)
        first_checks = [
            asyncio.ensure_future(monitor.first_check_done.wait()) for monitor in self._monitors.values()
        ]
        if first_checks:
            _, late = await asyncio.wait(first_checks, timeout=FIRST_LOOK_S)
            for look in late:
                look.cancel()
        for name in self._labelled_devices:
            if not any(_is_called(device, name) for device in self._devices.values()):
                there = ", ".join(self._devices) or "none"
                log.warning("labels are set for the device %s, which is not here; there are: %s", name, there)

    async def _discovered(self) -> Sequence[Presence]:
        try:
            return await self._driver.discover()
        except QgjobError:
            raise
        except Exception as error:  # a driver may be the lab's own
            log.exception("finding the devices of driver %s", self._driver.name)
            raise QgjobError(
                f"the driver {self._driver.name} cannot find its devices: {type(error).__name__}: {error}"
            ) from error

    async def run(self, add_slot: AddSlot) -> None:
        """Follow them until cancelled."""
        while True:
            try:
                async for presence in self._driver.watch():
                    name = presence.device.name
                    log.info("%s: %s", name, "it is there" if presence.present else presence.note)
                    self._on_presence(presence, add_slot)
            except Exception:  # a fault of one driver must not end the agent and the jobs it runs
                log.exception("following the devices of driver %s", self._driver.name)
            await asyncio.sleep(_AGAIN_S)

    async def close(self) -> None:
        """Stop following the devices."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._driver.close()

    def _on_presence(self, presence: Presence, add_slot: AddSlot) -> None:
        device = presence.device
        monitor = self._monitors.get(device.name)
        if monitor is not None:
            monitor.on_presence(presence)
            return
        self._devices[device.name] = device
        monitor = self._monitors[device.name] = DeviceMonitor(device, add_slot(self._make_runner(device)))
        monitor.on_presence(presence)
        task = asyncio.create_task(monitor.run(), name=f"monitor {device.name}")
        self._tasks.add(task)


def _is_called(device: Device, name: str) -> bool:
    return name == device.name or f"serial:{name}" in device.labels
