"""Installing builds: archives and folders, once each, in the place of others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.drivers.base import Build
from agent.drivers.process import ProcessDevice
from agent.errors import JobError
from agent.supervision.processes import parents
from tests.support.processbuilds import MANIFEST, SERVER, MakeBuild, folders, get, install


@pytest.mark.parametrize("kind", ["tar.gz", "zip", "folder"])
async def test_a_build_is_installed_started_and_skipped_the_next_time(
    device: ProcessDevice, make_build: MakeBuild, kind: str
):
    steps: list[str] = []
    build = make_build("v1", kind=kind)
    first = await device.install(build, timeout_s=60, progress=steps.append)
    assert (first.ok, first.skipped, first.reason) == (True, False, None)
    assert steps == ["unpacking the build", "starting the build"]
    running = await device.start_app("app", timeout_s=30)
    assert running.dir is not None
    assert (running.dir / "server.py").is_file()
    version, pid = await get(running.url)
    assert version == "v1"
    again = await install(device, build)
    assert (again.ok, again.skipped) == (True, True)
    assert await get((await device.start_app("app", timeout_s=30)).url) == ("v1", pid)
    assert (device.installs.made, device.installs.skipped, device.installs.failed) == (1, 1, 0)
    (entry,) = device.installed()
    assert (entry.org_id, entry.app_version_id, entry.app_id, entry.sha256) == (
        "acme",
        "v1",
        "app",
        build.sha256,
    )


async def test_another_version_takes_the_place_of_the_former(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path
):
    await install(device, make_build("v1"))
    _, old_pid = await get((await device.start_app("app", timeout_s=30)).url)
    assert not (await install(device, make_build("v2"))).skipped
    assert old_pid not in parents()
    assert (await get((await device.start_app("app", timeout_s=30)).url))[0] == "v2"
    assert [app.app_version_id for app in device.installed()] == ["v2"]
    assert folders(tmp_path) == 1


async def test_the_same_version_of_another_organisation_is_another_build(
    device: ProcessDevice, make_build: MakeBuild
):
    await install(device, make_build("v1", org="acme"))
    assert not (await install(device, make_build("v1", org="other"))).skipped
    assert [app.org_id for app in device.installed()] == ["other"]


async def test_two_apps_live_beside_each_other(device: ProcessDevice, make_build: MakeBuild):
    await install(device, make_build("v1", app="shop"))
    await install(device, make_build("v2", app="bank"))
    urls = [(await device.start_app(app, timeout_s=30)).url for app in ("shop", "bank")]
    assert [(await get(url))[0] for url in urls] == ["v1", "v2"]
    await device.uninstall("shop")
    assert [app.app_id for app in device.installed()] == ["bank"]
    with pytest.raises(JobError, match="shop is not installed"):
        await device.start_app("shop", timeout_s=30)


async def test_an_archive_of_one_folder_is_taken_for_that_folder(
    device: ProcessDevice, make_build: MakeBuild
):
    files = {"app-1.0/server.py": SERVER, "app-1.0/qgjob-app.json": json.dumps(MANIFEST)}
    assert (await install(device, make_build("v1", files))).ok
    running = await device.start_app("app", timeout_s=30)
    assert running.dir is not None
    assert running.dir.name == "app-1.0"
    assert (await get(running.url))[0] == "v1"


@pytest.mark.parametrize(("name", "ok"), [("tool", True), ("../../tool", True), ("..", False), ("a/", False)])
async def test_a_build_that_is_one_file_keeps_its_name(
    device: ProcessDevice, tmp_path: Path, name: str, ok: bool
):
    (tmp_path / "blob").write_bytes(b"#!/bin/sh\n")
    build = Build(org_id="acme", app_version_id="v1", path=tmp_path / "blob", file_name=name)
    result = await install(device, build)
    assert (result.ok, result.reason) == (ok, None if ok else "build_corrupt")
    if ok:
        running = await device.start_app("app", timeout_s=1)
        assert running.dir is not None
        assert [path.name for path in running.dir.iterdir()] == ["tool"]
        assert os.access(running.dir / "tool", os.X_OK)
