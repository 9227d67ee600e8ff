"""Finds iOS devices and simulators, by polling: Apple's tools report no changes."""

from __future__ import annotations

import asyncio
import logging
import os
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar, Final

from agent.drivers.apple.device import AppleDevice
from agent.drivers.apple.listings import Listed
from agent.drivers.apple.tools import Devicectl, Simctl, Tools
from agent.drivers.apple.xcrun import Xcrun
from agent.drivers.base import Driver, DriverContext, Presence
from agent.errors import JobError
from qgjob.errors import UsageError

log = logging.getLogger(__name__)

LOOK_S: Final = 15.0
OPTIONS: Final = ("xcrun",)


class AppleDriver(Driver):
    """What both have in common. `devices` names UDIDs to serve; none: all that can be used."""

    dynamic: ClassVar[bool] = True

    def __init__(self, context: DriverContext) -> None:
        for option in context.options:
            if option not in OPTIONS:
                raise UsageError(f"The driver {self.name} has no option {option}.", hint="It has: xcrun.")
        self._context = context
        self._tools = self._make_tools(Xcrun(os.environ, context.options.get("xcrun")))
        self._devices: dict[str, AppleDevice] = {}

    @abstractmethod
    def _make_tools(self, xcrun: Xcrun) -> Tools: ...

    async def discover(self) -> Sequence[Presence]:
        """See `Driver.discover`."""
        self._update(await self._tools.listed())
        for udid in self._context.devices:
            if udid not in self._devices:
                self._add(udid, frozenset({"ios", f"serial:{udid}"[:64]}), "it is not connected")
        return [_presence(device) for device in self._devices.values()]

    async def watch(self) -> AsyncGenerator[Presence]:
        """See `Driver.watch`."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                listed = await self._tools.listed()
            except JobError as error:
                log.warning("%s", error)
                continue
            for device in self._update(listed):
                yield _presence(device)

    def _update(self, listed: list[Listed]) -> list[AppleDevice]:
        """Take over a listing; the devices of which it says something new."""
        notes = {device.udid: device.note for device in listed}
        changed: list[AppleDevice] = []
        for udid, labels, note in listed:
            named = udid in self._context.devices
            # A Mac has dozens of simulators that nobody booted: they are slots only when they are named.
            if udid not in self._devices and (named or (not self._context.devices and note is None)):
                changed.append(self._add(udid, labels, note))
        for udid, device in self._devices.items():
            note = notes.get(udid, "it is not connected")
            if note != device.note:
                device.note = note
                changed.append(device)
        return changed

    def _add(self, udid: str, labels: frozenset[str], note: str | None) -> AppleDevice:
        device = self._devices[udid] = AppleDevice(udid, labels, self._tools, self._context)
        device.note = note
        return device


class SimctlDriver(AppleDriver):
    """iOS simulators."""

    name: ClassVar[str] = "simctl"

    def _make_tools(self, xcrun: Xcrun) -> Tools:
        return Simctl(xcrun)


class DevicectlDriver(AppleDriver):
    """iPhones and iPads."""

    name: ClassVar[str] = "devicectl"

    def _make_tools(self, xcrun: Xcrun) -> Tools:
        return Devicectl(xcrun)


def _presence(device: AppleDevice) -> Presence:
    return Presence(device, device.note is None, device.note or "")
