"""The drivers `process` and `none`, with real builds and real servers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.drivers.base import Build, InstallResult
from agent.drivers.marker import MarkerDevice, SlotSpec
from agent.drivers.process import ProcessDevice
from agent.errors import JobError
from agent.supervision.processes import marked, parents
from agent.supervision.sweep import sweep_leftovers
from qgjob.clock import ManualClock, SystemClock
from tests.support.wait import wait_for

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/", "/healthz") else 404)
        self.end_headers()
        self.wfile.write(f"{os.environ['QGJOB_APP_VERSION_ID']} {os.getpid()}".encode())
    def log_message(self, *_): pass
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = {"start": [sys.executable, "-I", "-S", "server.py"], "ready": {"http": "/healthz"}}
ENVIRONMENT = {"PATH": os.environ["PATH"]}

MakeBuild = Callable[..., Build]


@pytest.fixture
def make_build(tmp_path: Path) -> MakeBuild:
    """Packs a build; without files it is the server above."""

    def make(
        version: str,
        files: dict[str, str] | None = None,
        *,
        org: str = "acme",
        app: str = "app",
        kind: str = "tar.gz",
    ) -> Build:
        if files is None:
            files = {"server.py": SERVER, "qgjob-app.json": json.dumps(MANIFEST)}
        folder = tmp_path / f"build-{org}-{version}"
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        if kind == "folder":
            return Build(org_id=org, app_version_id=version, app_id=app, path=folder)
        path = folder.with_suffix(f".{kind}")
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name in files:
                    archive.write(folder / name, name)
        else:
            with tarfile.open(path, "w:gz") as archive:
                archive.add(folder, ".")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Build(org_id=org, app_version_id=version, app_id=app, path=path, sha256=digest)

    return make


@pytest.fixture
async def device(tmp_path: Path, mark: str) -> AsyncIterator[ProcessDevice]:
    made = await new_device(tmp_path, mark)
    yield made
    await made.close()
    assert sweep_leftovers(mark) == 0, "a test left processes behind"


async def new_device(tmp_path: Path, mark: str, install_seconds: float = 0.0) -> ProcessDevice:
    spec = SlotSpec(
        name="s1", folder=tmp_path / "slot", labels=frozenset({"process"}), install_seconds=install_seconds
    )
    made = ProcessDevice(spec, SystemClock(), ENVIRONMENT, mark)
    await made.open()
    return made


async def install(device: ProcessDevice, build: Build, timeout_s: float = 60) -> InstallResult:
    return await device.install(build, timeout_s=timeout_s)


async def get(url: str | None) -> tuple[str, int]:
    assert url is not None

    def read() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    version, pid = (await asyncio.to_thread(read)).split()
    return version, int(pid)


def folders(tmp_path: Path) -> int:
    return len(list((tmp_path / "slot/apps").iterdir()))


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
            "did not answer GET /healthz",
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


@pytest.mark.parametrize(
    ("data", "reason", "retryable"),
    [(b"no archive", "build_corrupt", False), (b"tampered", "build_checksum", True)],
)
async def test_a_build_that_cannot_be_unpacked_leaves_the_former_one(
    device: ProcessDevice, make_build: MakeBuild, tmp_path: Path, data: bytes, reason: str, retryable: bool
):
    await install(device, make_build("v1"))
    path = tmp_path / "bad"
    path.write_bytes(data)
    digest = hashlib.sha256(b"no archive").hexdigest()
    result = await install(device, Build(org_id="acme", app_version_id="v2", path=path, sha256=digest))
    assert (result.ok, result.reason, result.retryable) == (False, reason, retryable)
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
    assert "is gone" in ((await device.health()).detail or "")
    (tmp_path / "slot/apps").mkdir(parents=True)
