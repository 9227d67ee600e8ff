"""Finds Android devices, and follows them as they are plugged in, lost and found again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar, Final

from agent.drivers.adb.device import AdbDevice, Host, is_address
from agent.drivers.adb.errors import AdbError
from agent.drivers.adb.gates import Limits, number
from agent.drivers.adb.server import AdbServer, parse_devices
from agent.drivers.base import Driver, DriverContext, Presence
from agent.errors import JobError
from qgjob.errors import UsageError

log = logging.getLogger(__name__)

OPTIONS: Final = ("port", "adb", "allow_reboot", "answer_s", "min_battery", "max_temperature", "min_free_mib")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0", "")
LOOK_S: Final = 2.0
_RETRY_S: Final = (0.2, 1.0, 2.0, 5.0, 15.0, 30.0)
_NOTES: Final = {
    "offline": "its link is offline",
    "unauthorized": "it has not authorized this machine: accept the question on its screen",
    "authorizing": "it is asked to authorize this machine",
    "connecting": "the link is being made",
    "recovery": "it is in recovery mode",
    "sideload": "it is in sideload mode",
    "bootloader": "it is in its boot loader",
}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


class AdbDriver(Driver):
    """See the package. `devices` names the serials to serve; none: whatever is plugged in."""

    name: ClassVar[str] = "adb"
    dynamic: ClassVar[bool] = True

    def __init__(self, context: DriverContext) -> None:
        unknown = sorted(set(context.options) - set(OPTIONS))
        if unknown:
            raise UsageError(
                f"The driver adb has no option {unknown[0]}.", hint=f"It has: {', '.join(OPTIONS)}."
            )
        reboot = context.options.get("allow_reboot", "no").lower()
        if reboot not in {*_YES, *_NO}:
            raise UsageError(f"The driver's option allow_reboot is yes or no, not {reboot!r}.")
        self._server = AdbServer.of(os.environ, context.options)
        self._host = Host(
            server=self._server,
            context=context,
            limits=Limits.of(context.options),
            answer_s=max(0.1, number(context.options, "answer_s", 8)),
            may_reboot=reboot in _YES,
        )
        self._wanted = frozenset(context.devices)
        self._devices: dict[str, AdbDevice] = {}
        self._connecting: asyncio.Task[None] | None = None

    async def discover(self) -> Sequence[Presence]:
        """See `Driver.discover`: with named devices, the ones that are not there are listed as absent."""
        await self._server.ensure()
        await self._connect_known()
        tracking = self._server.track()
        try:
            self._update(await anext(tracking))
        finally:
            await tracking.aclose()
        for serial in sorted(self._wanted - set(self._devices)):
            self._add(serial)
        return [self._presence(device) for device in self._devices.values()]

    async def watch(self) -> AsyncGenerator[Presence]:
        """See `Driver.watch`. An adb server that ends is started again."""
        failures = 0
        while True:
            try:
                async for table in self._tables():
                    failures = 0
                    for device in self._update(table):
                        yield self._presence(device)
            except JobError as error:
                log.warning("%s", error)
            # Until the server is there again nothing is known of any device.
            for device in self._update({}):
                yield self._presence(device)
            await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1
            with contextlib.suppress(JobError):
                await self._server.ensure()
                self._connecting = asyncio.create_task(self._connect_known(), name="adb connect")

    async def _tables(self) -> AsyncGenerator[dict[str, str]]:
        """The device tables that the server sends; network devices that went offline have to be polled."""
        tracking = self._server.track()
        told = asyncio.ensure_future(anext(tracking))
        try:
            while True:
                asks = any(device.network for device in self._devices.values())
                await asyncio.wait((told,), timeout=LOOK_S if asks else None)
                if told.done():
                    yield told.result()
                    told = asyncio.ensure_future(anext(tracking))
                else:
                    yield parse_devices(await self._server.host("host:devices"))
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)
            await tracking.aclose()

    def _update(self, table: dict[str, str]) -> list[AdbDevice]:
        """Take over what the server says; the devices of which it says something new."""
        for serial in table:
            if serial not in self._devices and (not self._wanted or serial in self._wanted):
                self._add(serial)
        changed = [d for d in self._devices.values() if d.state != table.get(d.serial)]
        for device in changed:
            device.state = table.get(device.serial)
        return changed

    def _add(self, serial: str) -> None:
        name = _UNSAFE.sub("-", serial)[:80] or "device"
        taken = {device.name for device in self._devices.values()}
        number = 2
        while name in taken:
            name = f"{_UNSAFE.sub('-', serial)[:80]}-{number}"
            number += 1
        self._devices[serial] = AdbDevice(serial, name, self._host)

    def _presence(self, device: AdbDevice) -> Presence:
        state = device.state
        if state == "device":
            return Presence(device, True)
        gone = "it is not connected" if device.network else "it is not plugged in"
        return Presence(
            device, False, gone if state is None else _NOTES.get(state, f"it says: {state[:100]}")
        )

    async def _connect_known(self) -> None:
        """A server that was started anew knows no network device."""
        addresses = sorted(serial for serial in {*self._wanted, *self._devices} if is_address(serial))
        results = await asyncio.gather(
            *(self._server.connect(address) for address in addresses), return_exceptions=True
        )
        for address, result in zip(addresses, results, strict=True):
            if isinstance(result, AdbError):
                log.warning("%s: %s", address, result.message)
            elif isinstance(result, BaseException):
                raise result
            elif "connected" not in result:
                log.warning("%s", result.strip()[:300])

    async def close(self) -> None:
        """See `Driver.close`: the adb server stays, it is not ours alone."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        for device in self._devices.values():
            await device.close()
