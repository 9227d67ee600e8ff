"""What is installed outlives agents and servers; what was damaged is installed again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.drivers.process import ProcessDevice
from agent.errors import JobError
from agent.supervision.processes import parents
from tests.support.mounts import OWN_MOUNTS, skip_without_mounts
from tests.support.processbuilds import MakeBuild, folders, get, install, new_device
from tests.support.wait import wait_for


async def test_a_server_that_died_is_started_again(device: ProcessDevice, make_build: MakeBuild):
    await install(device, make_build("v1"))
    _, pid = await get((await device.start_app("app", timeout_s=30)).url)
    os.kill(pid, signal.SIGKILL)
    await wait_for(lambda: pid not in parents())

    async def started_again() -> bool:
        # Until the death was noticed, the address is the dead one's.
        with contextlib.suppress(OSError):
            return (await get((await device.start_app("app", timeout_s=30)).url))[1] != pid
        return False

    await wait_for(started_again)
    assert device.installs.made == 1


async def test_a_build_that_a_test_has_broken_is_not_the_builds_fault(
    device: ProcessDevice, make_build: MakeBuild
):
    build = make_build("v1")
    await install(device, build)
    folder = (await device.start_app("app", timeout_s=30)).dir
    assert folder is not None
    (folder / "server.py").write_text("raise SystemExit(1)")
    await device.stop_app("app")
    with pytest.raises(JobError, match="does not start") as caught:
        await device.start_app("app", timeout_s=30)
    assert caught.value.retryable
    assert not (await install(device, build)).skipped
    assert (await get((await device.start_app("app", timeout_s=30)).url))[0] == "v1"


async def test_what_is_installed_is_remembered_by_the_next_agent(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path, mark: str
):
    build = make_build("v1")
    await install(device, build)
    _, pid = await get((await device.start_app("app", timeout_s=30)).url)
    await device.close()
    assert pid not in parents()
    (tmp_path / "slot/apps/.half-unpacked").mkdir()
    later = await new_device(tmp_path, mark)
    assert [app.app_version_id for app in later.installed()] == ["v1"]
    assert folders(tmp_path) == 1
    assert (await install(later, build)).skipped
    assert (await get((await later.start_app("app", timeout_s=30)).url))[0] == "v1"
    await later.close()


@pytest.mark.parametrize("damage", ["ledger", "folder", "strange ledger"])
async def test_what_was_damaged_is_installed_again(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path, mark: str, damage: str
):
    build = make_build("v1", {"x": "1"})
    await install(device, build)
    if damage == "ledger":
        (tmp_path / "slot/installed.json").write_text("{")
    elif damage == "strange ledger":
        (tmp_path / "slot/installed.json").write_text('{"installed": [{"app_id": 5}]}')
    else:
        shutil.rmtree(next((tmp_path / "slot/apps").iterdir()))
    later = await new_device(tmp_path, mark)
    assert not later.installed()
    assert folders(tmp_path) == 0
    assert not (await install(later, build)).skipped


async def test_a_folder_that_vanished_under_us_is_installed_again(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path
):
    build = make_build("v1", {"x": "1"})
    await install(device, build)
    shutil.rmtree(next((tmp_path / "slot/apps").iterdir()))
    result = await install(device, build)
    assert (result.ok, result.skipped) == (True, False)


async def test_health_looks_at_the_disk(
    device: ProcessDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    healthy = await device.health()
    assert healthy.ok
    assert healthy.free_mib is not None
    assert healthy.free_mib > 200
    monkeypatch.setattr("agent.drivers.marker.MIN_FREE_BYTES", 1 << 60)
    assert "of disk left" in ((await device.recover()).detail or "")
    shutil.rmtree(tmp_path / "slot")


_READ_ONLY = """
import asyncio, pathlib, subprocess, sys
from agent.drivers.marker import MarkerDevice, SlotSpec
from qgjob.clock import SystemClock
disk = pathlib.Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)], check=True)
device = MarkerDevice(SlotSpec(name="s0", folder=disk / "s0"), SystemClock())
asyncio.run(device.open())
for mode in ("ro", "rw"):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)
    health = asyncio.run(device.health())
    print(health.ok, health.detail)
"""


def test_a_slot_on_a_read_only_disk_is_not_well_until_it_can_be_written_to(tmp_path: Path):
    skip_without_mounts()
    argv = [*OWN_MOUNTS, sys.executable, "-c", _READ_ONLY, str(tmp_path)]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == [f"False the slot's folder {tmp_path}/s0 cannot be written to", "True None"]


async def test_a_slots_folder_that_was_removed_is_made_again(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path
):
    await install(device, make_build("v1"))
    shutil.rmtree(tmp_path / "slot")
    health = await device.health()
    assert (health.ok, health.silent) == (False, True), "somebody has to recover it"
    assert "is gone" in (health.detail or "")
    assert (await device.recover()).ok
    assert device.installed() == ()
    assert not (await install(device, make_build("v1"))).skipped
    assert (await device.start_app("app", timeout_s=30)).url is not None


@pytest.mark.parametrize("what", ["folder", "files", "nothing"])
async def test_a_build_that_a_test_removed_is_not_taken_for_installed(
    device: ProcessDevice, make_build: MakeBuild, what: str
):
    build = make_build("v1", {"a.txt": "a"})
    await install(device, build)
    running = await device.start_app("app", timeout_s=30)
    assert running.dir is not None
    if what == "folder":
        shutil.rmtree(running.dir)
    elif what == "files":
        (running.dir / "a.txt").unlink()
    await device.prove("acme", "v1")
    assert [app.app_version_id for app in device.installed()] == (["v1"] if what == "nothing" else [])
    assert (await install(device, build)).skipped is (what == "nothing")
    assert (running.dir / "a.txt").is_file()
