"""The shape of our calls to Xcode's tools, on a stand-in for `xcrun`; no Mac was at hand."""

from __future__ import annotations

import json
import plistlib
import secrets
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.apple import driver as apple_driver
from agent.drivers.apple.driver import AppleDriver, DevicectlDriver, SimctlDriver
from agent.drivers.base import Build, DriverContext, Presence
from agent.errors import JobError
from qgjob.clock import SystemClock
from tests.support import fake_xcrun

# Of this process alone: a device is one agent's on the whole machine.
ONE, TWO = (f"{number}-{secrets.token_hex(6).upper()}" for number in ("1111AAAA", "2222BBBB"))
BUNDLE = "com.example.Shop"


class FakeMac:
    def __init__(self, folder: Path) -> None:
        self.program = folder / "xcrun"
        script = Path(fake_xcrun.__file__).read_text()
        self.program.write_text(f"#!{sys.executable} -IS\n{script}")
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        self._path = folder / "state.json"
        self.set(simulators={ONE: "Booted", TWO: "Shutdown"}, phones={ONE: "paired", TWO: "unpaired"})

    def set(self, **changes: Any) -> None:
        empty: dict[str, Any] = {"simulators": {}, "phones": {}, "apps": {}, "fails": {}, "calls": []}
        before = json.loads(self._path.read_text()) if self._path.exists() else empty
        self._path.write_text(json.dumps({**before, **changes}))

    def __getitem__(self, name: str) -> Any:
        return json.loads(self._path.read_text())[name]


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMac:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(apple_driver, "LOOK_S", 0.01)
    return FakeMac(tmp_path)


def driver_on(mac: FakeMac, kind: type[AppleDriver], folder: Path, *devices: str) -> AppleDriver:
    options = {"xcrun": str(mac.program)}
    return kind(DriverContext(folder=folder, clock=SystemClock(), devices=devices, options=options))


def ipa(path: Path, bundle_id: str = BUNDLE) -> Build:
    with zipfile.ZipFile(path, "w") as archive:
        plist = plistlib.dumps({"CFBundleIdentifier": bundle_id, "CFBundleVersion": "1"})
        archive.writestr("Payload/Shop.app/Info.plist", plist)
    return Build(org_id="acme", app_version_id=path.stem, path=path)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        (SimctlDriver, {"ios", "simulator", "ios-17", "ios-17.4", "model:iphone-15-pro"}),
        (DevicectlDriver, {"ios", "device", "ios-18", "ios-18.1", "model:iphone-14"}),
    ],
)
async def test_builds_are_installed_proved_and_missed(
    mac: FakeMac, tmp_path: Path, kind: type[AppleDriver], labels: set[str]
):
    driver = driver_on(mac, kind, tmp_path / "agent")
    (presence,) = [found for found in await driver.discover() if found.device.name == ONE]
    device = presence.device
    assert presence.present
    assert device.labels == labels | {f"serial:{ONE}"}
    await device.open()
    assert (await device.health()).ok
    build = ipa(tmp_path / "v1.ipa")
    first = await device.install(build, timeout_s=30)
    assert (first.ok, first.skipped, first.detail) == (True, False, None)
    assert (await device.install(build, timeout_s=30)).skipped
    app = await device.start_app(BUNDLE, timeout_s=5)
    assert app.env == {"QGJOB_UDID": ONE, "QGJOB_PLATFORM": "ios", "QGJOB_APP_PACKAGE": BUNDLE}
    await device.evidence(tmp_path / "evidence")
    await device.settle()
    assert (kind is SimctlDriver) == (tmp_path / "evidence" / "screenshot.png").exists()
    mac.set(apps={ONE: {BUNDLE: "another-container"}})  # somebody installed it anew
    await device.prove("acme", "v1")
    assert not device.installed()
    await device.install(build, timeout_s=30)
    mac.set(fails={"install": "no space left", "device install": "no space left"})
    other = await device.install(ipa(tmp_path / "v2.ipa"), timeout_s=30)
    assert (other.reason, other.retryable, "no space left" in (other.detail or "")) == (
        "install_failed",
        True,
        True,
    )
    (rival,) = [found for found in await driver_on(mac, kind, tmp_path / "rival").discover() if found.present]
    with pytest.raises(JobError, match="another agent of this machine"):
        await rival.device.open()
    await device.close()
    await rival.device.open()
    await rival.device.close()


async def test_devices_come_and_go(mac: FakeMac, tmp_path: Path):
    driver = driver_on(mac, SimctlDriver, tmp_path)
    first = await driver.discover()
    assert [(found.device.name, found.present) for found in first] == [(ONE, True)]
    watching = driver.watch()
    mac.set(simulators={ONE: "Shutdown", TWO: "Booted"})
    seen: dict[str, Presence] = {}
    while len(seen) < 2:
        presence = await anext(watching)
        seen[presence.device.name] = presence
    await watching.aclose()
    assert (seen[TWO].present, seen[ONE].present, seen[ONE].note) == (True, False, "it is not booted")
    assert (await seen[ONE].device.recover()).ok  # booted again
    named = driver_on(mac, DevicectlDriver, tmp_path, TWO, "3333CCCC-0000")
    notes = {found.device.name: found.note for found in await named.discover()}
    assert notes == {TWO: "it is not paired with this Mac", "3333CCCC-0000": "it is not connected"}


async def test_what_is_no_ios_app_is_refused(mac: FakeMac, tmp_path: Path):
    driver = driver_on(mac, SimctlDriver, tmp_path / "agent")
    (presence,) = await driver.discover()
    device = presence.device
    await device.open()
    text = tmp_path / "text"
    text.write_bytes(b"hello")
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme", "x")
    for path, reason in ((text, "build_no_app"), (empty, "build_no_app")):
        result = await device.install(Build(org_id="a", app_version_id="v", path=path), timeout_s=30)
        assert (result.ok, result.reason, result.retryable) == (False, reason, False)
    evil = await device.install(ipa(tmp_path / "evil.ipa", "../../etc"), timeout_s=30)
    assert (evil.reason, evil.retryable) == ("build_broken", False)
    assert not any("install" in call for call in mac["calls"])
    await device.close()


async def test_a_machine_without_xcode_and_nonsense(mac: FakeMac, tmp_path: Path):
    mac.program.write_text("#!/bin/sh\necho '[['\n")
    with pytest.raises(JobError, match="nonsense"):
        await driver_on(mac, SimctlDriver, tmp_path).discover()
    mac.program.unlink()
    with pytest.raises(JobError, match="cannot be started"):
        await driver_on(mac, SimctlDriver, tmp_path).discover()
