"""Devices that come, go, hang and are brought back, through the real adb server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.drivers.adb import device as adb_device
from agent.drivers.adb import driver as adb_driver
from agent.drivers.adb.device import AdbDevice
from agent.drivers.adb.driver import AdbDriver
from agent.drivers.base import Presence
from agent.errors import JobError
from qgjob.errors import UsageError
from tests.integration.agent.drivers.conftest import MakeApkBuild, driving
from tests.support.adbsim import AdbHost, Phone, PhoneLink
from tests.support.wait import wait_for


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb_driver, "LOOK_S", 0.05)
    monkeypatch.setattr(adb_device, "RECOVERY_PAUSE_S", 0.1)
    monkeypatch.setattr(adb_device, "RECOVERY_LOOKS", 1)


class Seen:
    """The latest that a driver said of each device."""

    def __init__(self) -> None:
        self.of: dict[str, Presence] = {}

    def here(self, name: str) -> bool:
        return name in self.of and self.of[name].present

    def note(self, name: str) -> str:
        return self.of[name].note if name in self.of and not self.of[name].present else ""


@contextlib.asynccontextmanager
async def watched(driver: AdbDriver) -> AsyncGenerator[Seen]:
    seen = Seen()
    for presence in await driver.discover():
        seen.of[presence.device.name] = presence

    async def watch() -> None:
        async for presence in driver.watch():
            seen.of[presence.device.name] = presence

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def name_of(link: PhoneLink) -> str:
    return link.serial.replace(":", "-")


async def test_auto_serves_whatever_is_plugged_in(host: AdbHost, tmp_path: Path):
    async with (
        driving(host, tmp_path) as driver,
        PhoneLink(Phone()) as one,
        PhoneLink(Phone(release="13", emulator=True)) as two,
        watched(driver) as seen,
    ):
        assert not seen.of
        for link in (one, two):
            await host.adb("connect", link.serial)
        await wait_for(lambda: seen.here(name_of(one)) and seen.here(name_of(two)))
        device = seen.of[name_of(two)].device
        await device.open()
        assert {"android-13", "emulator", "rack-1", f"serial:{two.serial}"} <= device.labels
        await two.unplug()
        await wait_for(lambda: seen.note(name_of(two)), 20)
        assert seen.here(name_of(one))
        assert not (await device.health()).ok
        await two.plug()
        await wait_for(lambda: recovered(device), 30)
        await wait_for(lambda: seen.here(name_of(two)))
        assert seen.of[name_of(two)].device is device


async def recovered(device: object) -> bool:
    assert isinstance(device, AdbDevice)
    return (await device.recover()).ok


async def test_named_devices_are_connected_and_missed(host: AdbHost, tmp_path: Path):
    async with (
        PhoneLink() as link,
        PhoneLink() as other,
        driving(host, tmp_path, link.serial, "R58M-not-there") as driver,
        watched(driver) as seen,
    ):
        assert seen.here(name_of(link))
        assert seen.note("R58M-not-there") == "it is not plugged in"
        device = seen.of[name_of(link)].device
        await device.open()
        assert {"nfc", "rack-1"} <= device.labels
        await host.adb("connect", other.serial)
        await host.adb("-s", other.serial, "wait-for-device")
        await host.adb("disconnect", link.serial)
        await wait_for(lambda: seen.note(name_of(link)) == "it is not connected")
        assert len(seen.of) == 2  # the other one was not asked for


async def test_a_device_that_has_not_authorized_us_says_so(host: AdbHost, tmp_path: Path):
    phone = Phone()
    phone.authorized.clear()
    async with PhoneLink(phone) as link, driving(host, tmp_path) as driver, watched(driver) as seen:
        connecting = asyncio.create_task(host.adb("connect", link.serial))
        await wait_for(lambda: "authorize" in seen.note(name_of(link)), 20)
        device = seen.of[name_of(link)].device
        health = await device.recover()
        assert (health.ok, health.silent) == (False, True)
        phone.authorized.set()
        await wait_for(lambda: seen.here(name_of(link)), 20)
        assert (await device.health()).ok
        await connecting


async def test_a_server_that_is_killed_is_started_again(host: AdbHost, link: PhoneLink, tmp_path: Path):
    async with driving(host, tmp_path, link.serial) as driver, watched(driver) as seen:
        assert seen.here(name_of(link))
        await host.adb("kill-server")  # a test did that
        await wait_for(lambda: seen.note(name_of(link)))
        await wait_for(lambda: seen.here(name_of(link)), 20)
        assert (await seen.of[name_of(link)].device.health()).ok


def answers_within(device: object, seconds: float) -> None:
    """From now on all devices of its driver are given so long to answer; before it is as long as they may need."""
    assert isinstance(device, AdbDevice)
    device._host.answer_s = seconds  # pyright: ignore[reportPrivateUsage]


async def test_a_hung_device_is_given_up_in_time_and_rebooted_last(
    host: AdbHost, link: PhoneLink, tmp_path: Path
):
    async with (
        driving(host, tmp_path, link.serial, allow_reboot="yes") as driver,
        watched(driver) as seen,
    ):
        device = seen.of[name_of(link)].device
        await device.open()
        answers_within(device, 0.5)
        link.phone.hangs = True
        doubts: list[str] = []
        device.on_doubt = doubts.append
        health = await device.health()
        assert (health.ok, health.silent) == (False, True)
        assert "did not answer within 0.5 s" in (health.detail or "")
        assert not doubts  # who asks for its health knows
        with pytest.raises(JobError, match="did not answer"):
            await device.stop_app("com.example")
        assert len(doubts) == 1

        async def well() -> bool:
            if link.phone.calls["reboot"]:
                answers_within(device, 8)
            return (await device.recover()).ok

        await wait_for(well, 60)
        assert link.phone.calls["reboot"] == 1  # it hung until then


@pytest.mark.parametrize("installs", [False, True], ids=["tests", "installs"])
async def test_nothing_is_killed_or_rebooted_for_a_device_while_another_works(
    host: AdbHost, link: PhoneLink, tmp_path: Path, apk: MakeApkBuild, *, installs: bool
):
    async with (
        PhoneLink() as busy,
        driving(host, tmp_path, link.serial, busy.serial) as driver,
        watched(driver) as seen,
    ):
        working = seen.of[name_of(busy)].device
        assert isinstance(working, AdbDevice)
        await working.open()
        busy.phone.install_stalls = True
        install = asyncio.ensure_future(working.install(apk(), timeout_s=30)) if installs else None
        if install is None:
            working.claim()
        else:
            await wait_for(lambda: busy.phone.calls["install"] == 1)
        answers_within(working, 0.3)
        link.phone.hangs = True
        for _ in range(4):
            assert not (await seen.of[name_of(link)].device.recover()).ok
        answers_within(working, 8)
        assert (await working.health()).ok
        assert working.server.may_kill(1e9)
        assert link.phone.calls["reboot"] == 0
        if install is not None:
            assert not install.done()
            install.cancel()
            await asyncio.wait((install,))


async def test_an_unwell_or_senseless_device_rests(host: AdbHost, link: PhoneLink, tmp_path: Path):
    phone = link.phone
    async with driving(host, tmp_path, link.serial) as driver, watched(driver) as seen:
        device = seen.of[name_of(link)].device
        await device.open()
        assert (await device.health()).battery_percent == 88
        phone.battery = 9
        assert "battery at 9 %" in ((await device.health()).detail or "")
        phone.battery = 60
        phone.temperature_tenths = 412
        assert "41.2 °C" in ((await device.health()).detail or "")
        phone.temperature_tenths = 250
        phone.booted = False
        assert "booting" in ((await device.health()).detail or "")
        phone.booted = True
        phone.nonsense = True
        health = await device.health()
        assert (health.ok, health.silent, health.detail) == (False, True, "the device answers nonsense")
        phone.nonsense = False
        assert (await device.health()).ok


async def test_two_agents_of_a_machine_do_not_share_a_device(
    host: AdbHost, link: PhoneLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with (
        driving(host, tmp_path / "one", link.serial) as first,
        driving(host, tmp_path / "two", link.serial) as second,
    ):
        (mine,), (theirs,) = await first.discover(), await second.discover()
        await mine.device.open()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # one began in a session, the other is a service
        with pytest.raises(JobError, match="another agent of this machine serves"):
            await theirs.device.open()
        await mine.device.open()  # again, as after it was away
        await mine.device.close()
        await theirs.device.open()
        await theirs.device.close()


async def test_what_the_driver_cannot_work_with(host: AdbHost, tmp_path: Path):
    with pytest.raises(UsageError, match="no option colour"):
        async with driving(host, tmp_path, colour="red"):
            pass
    with pytest.raises(UsageError, match="allow_reboot"):
        async with driving(host, tmp_path, allow_reboot="perhaps"):
            pass
    async with driving(host, tmp_path, adb="/no/such/adb") as driver:
        with pytest.raises(JobError, match="cannot be started"):
            await driver.discover()
