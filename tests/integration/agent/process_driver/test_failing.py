"""Installs that fail: whose fault it was, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path

import pytest

from agent.drivers.app_server import AppServer
from agent.drivers.base import Build
from agent.drivers.process import ProcessDevice
from agent.supervision.processes import marked, parents
from tests.support.processbuilds import MANIFEST, MakeBuild, folders, get, install


async def test_readiness_by_connection_and_the_port_as_an_argument(
    device: ProcessDevice, make_build: MakeBuild
):
    script = """
import os, socket, sys, time
assert sys.argv[1] == "--port=" + os.environ["MY_PORT"] and "PORT" not in os.environ
time.sleep(0.1)
listener = socket.create_server(("127.0.0.1", int(os.environ["MY_PORT"])))
while True:
    listener.accept()
"""
    manifest = {
        "start": [sys.executable, "-I", "-S", "s.py", "--port={port}"],
        "port_env": "MY_PORT",
        "ready": {"tcp": True},
    }
    result = await install(device, make_build("v1", {"s.py": script, "qgjob-app.json": json.dumps(manifest)}))
    assert result.ok, result.detail


def starting(script: str, **more: object) -> dict[str, str]:
    manifest = {**MANIFEST, "start": [sys.executable, "-I", "-S", "-c", script], **more}
    return {"qgjob-app.json": json.dumps(manifest)}


DAEMON = "import os, time\nif os.fork() == 0:\n os.setsid()\n time.sleep(1000)\n"


@pytest.mark.parametrize(
    ("files", "reason", "sentence"),
    [
        (
            starting(DAEMON + "print('no port')\nraise SystemExit(3)"),
            "build_start_failed",
            "exit code 3; the end of its output:\nno port",
        ),
        (
            starting(DAEMON + "time.sleep(1000)", ready_timeout_s=0.3),
            "build_start_failed",
            "within 0.3 s",
        ),
        (
            {"qgjob-app.json": json.dumps({"start": ["no-such-program"]})},
            "build_start_failed",
            "no such program",
        ),
        ({"qgjob-app.json": "{"}, "build_manifest", "it is no JSON"),
        ({"qgjob-app.json": "[]"}, "build_manifest", "it is no object"),
        ({"qgjob-app.json": "{}"}, "build_manifest", '"start" must be a list'),
        ({"qgjob-app.json": '{"start": "sh -c x"}'}, "build_manifest", '"start" must be a list'),
        (
            {"qgjob-app.json": '{"start": ["a"], "ready": {"http": "http://elsewhere/"}}'},
            "build_manifest",
            '"ready" must',
        ),
        ({"qgjob-app.json": '{"start": ["a"], "port_env": "A=B"}'}, "build_manifest", '"port_env" must'),
        (
            {"qgjob-app.json": '{"start": ["a"], "ready_timeout_s": -1}'},
            "build_manifest",
            '"ready_timeout_s" must',
        ),
        ({"qgjob-app.json": "[" * 70_000}, "build_manifest", "larger than 64 KiB"),
        ({"qgjob-app.json": "[" * 60_000}, "build_manifest", "it is no JSON"),
    ],
)
async def test_a_build_that_does_not_start_is_the_builds_fault(
    device: ProcessDevice,
    make_build: MakeBuild,
    tmp_path: Path,
    mark: str,
    files: dict[str, str],
    reason: str,
    sentence: str,
):
    await install(device, make_build("v1", {"x": "1"}))
    result = await install(device, make_build("v2", files))
    assert (result.ok, result.reason, result.retryable) == (False, reason, False)
    assert sentence in (result.detail or "")
    assert not device.installed()
    assert folders(tmp_path) == 0
    assert not marked(mark, parents())
    assert (device.installs.made, device.installs.failed) == (1, 1)


async def test_a_server_has_the_time_that_its_build_says(
    device: ProcessDevice, make_build: MakeBuild, monkeypatch: pytest.MonkeyPatch
):
    async def never(*_: object, **__: object) -> None:
        raise TimeoutError

    build = make_build("v1", starting("serve", ready_timeout_s=240))
    monkeypatch.setattr(AppServer, "_start_process", never)
    late = await install(device, build, timeout_s=300)
    assert "within 240 s" in (late.detail or "")


async def test_a_build_that_cannot_be_unpacked_leaves_the_former_one(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path
):
    await install(device, make_build("v1"))
    path = tmp_path / "bad"
    path.write_bytes(b"no archive")
    digest = hashlib.sha256(b"no archive").hexdigest()
    result = await install(device, Build(org_id="acme", app_version_id="v2", path=path, sha256=digest))
    assert (result.ok, result.reason, result.retryable) == (False, "build_corrupt", False)
    assert (await get((await device.start_app("app", timeout_s=30)).url))[0] == "v1"
    assert folders(tmp_path) == 1


async def test_a_full_disk_is_the_labs_fault(
    device: ProcessDevice, make_build: MakeBuild, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.archive.unpacking._unpack_file", full)
    result = await install(device, make_build("v1"))
    assert (result.ok, result.reason, result.retryable) == (False, "disk_full", True)


async def test_an_install_that_takes_too_long_leaves_nothing(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path, mark: str
):
    result = await install(device, make_build("v1", starting("import time; time.sleep(1000)")), timeout_s=0.5)
    assert (result.ok, result.reason, result.retryable) == (False, "install_timeout", True)
    assert (folders(tmp_path), len(device.installed())) == (0, 0)
    assert not marked(mark, parents())


async def test_a_cancelled_install_leaves_nothing(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path, mark: str
):
    build = make_build("v1", starting("import time; time.sleep(1000)"))
    started = asyncio.Event()
    task = asyncio.create_task(
        device.install(build, timeout_s=60, progress=lambda step: started.set() if "start" in step else None)
    )
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (folders(tmp_path), len(device.installed())) == (0, 0)
    assert not marked(mark, parents())
