"""Versions without a build, which are only marked as installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.drivers.base import Build, DriverContext
from agent.drivers.marker import MarkerDevice, NoneDriver, SlotSpec
from agent.drivers.process import ProcessDriver
from qgjob.clock import SystemClock
from qgjob.errors import UsageError
from tests.support.clock import ManualClock
from tests.support.processbuilds import MakeBuild, folders, install, new_device


async def test_a_version_without_a_build_is_a_marker(tmp_path: Path, mark: str, make_build: MakeBuild):
    device = await new_device(tmp_path, mark, install_seconds=0.05)
    marker = Build(org_id="acme", app_version_id="v1")
    first, again = await install(device, marker), await install(device, marker)
    assert (first.ok, first.skipped, again.ok, again.skipped) == (True, False, True, True)
    assert first.duration_s >= 0.05
    assert device.installs.seconds >= 0.05
    running = await device.start_app("app", timeout_s=1)
    assert (running.dir, running.url) == (None, None)
    # A build of that version that was uploaded later is another thing; and so is going back to none.
    assert not (await install(device, make_build("v1", {"x": "1"}))).skipped
    assert not (await install(device, marker)).skipped
    assert folders(tmp_path) == 0
    timed_out = await device.install(Build(org_id="acme", app_version_id="v2"), timeout_s=0.01)
    assert (timed_out.reason, [a.app_version_id for a in device.installed()]) == ("install_timeout", ["v1"])
    await device.close()


async def test_driver_none_only_marks(tmp_path: Path, make_build: MakeBuild):
    device = MarkerDevice(SlotSpec(name="s1", folder=tmp_path / "slot"), ManualClock(5.0))
    await device.open()
    build = make_build("v1")
    results = [await device.install(build, timeout_s=60) for _ in range(2)]
    assert [(result.ok, result.skipped) for result in results] == [(True, False), (True, True)]
    assert [(app.app_version_id, app.installed_at) for app in device.installed()] == [("v1", 5.0)]
    assert (await device.start_app("app", timeout_s=1)).url is None
    await device.uninstall("app")
    assert not device.installed()


@pytest.mark.parametrize("kind", [NoneDriver, ProcessDriver])
async def test_who_names_devices_wants_another_driver(tmp_path: Path, kind: type[NoneDriver | ProcessDriver]):
    named = DriverContext(folder=tmp_path, clock=SystemClock(), devices=("emulator-5554",))
    with pytest.raises(UsageError, match=r"has no devices \(emulator-5554\)") as caught:
        await kind(named).discover()
    assert "--driver adb" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="has no options"):
        await kind(replace(named, devices=(), options={"port": "5037"})).discover()
