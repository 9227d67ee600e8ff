"""npm packages of test bundles: real npm, a registry of our own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from agent.errors import JobError
from agent.npm.packages import NpmPackages, NpmSettings
from agent.runners.toolchain import Toolchain
from agent.storage.removal import remove_tree
from tests.support.wait import wait_for


class Registry:
    """Serves one package; counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent = threading.Event()
        self.broken = False
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                if registry.silent.is_set():
                    registry.released.wait(60)
                found = self.path == "/tiny/-/tiny-1.0.0.tgz" and not registry.broken
                self.send_response(200 if found else 404)
                self.end_headers()
                self.wfile.write(registry.tarball if found else b"{}")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.released = threading.Event()
        self.tarball = _tarball()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def project(self, bundle: Path, *, version: str = "1.0.0") -> None:
        """A bundle whose lock file wants the package."""
        bundle.mkdir(parents=True, exist_ok=True)
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(self.tarball).digest()).decode()
        wants = {"dependencies": {"tiny": version}}
        (bundle / "package.json").write_text(json.dumps({"name": "t", "version": "1.0.0", **wants}))
        entry = {"version": "1.0.0", "resolved": f"{self.url}tiny/-/tiny-1.0.0.tgz", "integrity": integrity}
        lock = {"lockfileVersion": 3, "packages": {"": {**wants, "name": "t"}, "node_modules/tiny": entry}}
        (bundle / "package-lock.json").write_text(json.dumps({"name": "t", **lock}))


def _tarball() -> bytes:
    buffer = io.BytesIO()
    scripts = {"install": "touch ../../../../pwned pwned"}
    files = {
        "package/package.json": json.dumps({"name": "tiny", "version": "1.0.0", "scripts": scripts}).encode(),
        "package/index.js": b"module.exports = 'tiny';",
    }
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    yield registry
    registry.close()


@pytest.fixture(scope="session")
def tools(node: Path) -> Toolchain:
    found = Toolchain.discover({**os.environ, "QGJOB_AGENT_NODE": str(node)})
    assert found.npm is not None
    return found


class MakePackages(Protocol):
    def __call__(
        self, *, timeout_s: float = ..., limit_bytes: int = ..., offline: bool = ...
    ) -> NpmPackages: ...


@pytest.fixture
async def make(
    tmp_path: Path, tools: Toolchain, registry: Registry, mark: str
) -> AsyncIterator[MakePackages]:
    made: list[NpmPackages] = []

    def make(*, timeout_s: float = 120, limit_bytes: int = 10**9, offline: bool = False) -> NpmPackages:
        usual = NpmSettings.from_environ({}, tools).environment
        settings = NpmSettings(
            environment={**usual, "npm_config_fetch_retries": "0", "npm_config_registry": registry.url},
            timeout_s=timeout_s,
            limit_bytes=limit_bytes,
            offline=offline,
        )
        made.append(NpmPackages(tmp_path / "npm", tools, settings, mark=mark))
        return made[-1]

    yield make
    for packages in made:
        await packages.close()


@pytest.fixture
def packages(make: MakePackages) -> NpmPackages:
    return make()


async def test_jobs_with_one_lock_file_share_one_installation(
    packages: NpmPackages, registry: Registry, tmp_path: Path
):
    said: list[str] = []
    bundles = [tmp_path / "work" / name for name in ("a", "b", "c")]
    for bundle in bundles:
        registry.project(bundle)

    async def job(bundle: Path) -> None:
        async with packages.provided(bundle, "e2e/x.spec.ts", "acme", said.append) as linked:
            assert linked
            assert (bundle / "node_modules/tiny/index.js").read_text() == "module.exports = 'tiny';"
            (bundle / "node_modules/.cache").mkdir()

    await asyncio.gather(*(job(bundle) for bundle in bundles[:2]))
    await job(bundles[2])
    assert registry.asked == ["/tiny/-/tiny-1.0.0.tgz"]
    assert sorted(said) == [
        "installing the packages of package-lock.json",
        "waiting for the packages of package-lock.json, which another job has installed",
    ]
    assert not list(tmp_path.rglob("pwned"))  # no script of a package was run
    assert not list((tmp_path / "npm" / "incoming").iterdir())


async def test_another_organisation_or_lock_file_gets_its_own(
    packages: NpmPackages, registry: Registry, tmp_path: Path
):
    real: set[str] = set()
    for number, (org, version) in enumerate([("acme", "1.0.0"), ("other", "1.0.0"), ("acme", "^1.0.0")]):
        bundle = tmp_path / str(number)
        registry.project(bundle, version=version)
        async with packages.provided(bundle, "x.spec.ts", org, lambda _: None):
            real.add(os.path.realpath(bundle / "node_modules/tiny"))
    assert len(real) == 3


async def test_a_bundle_with_node_modules_or_without_a_lock_file_is_left_alone(
    packages: NpmPackages, registry: Registry, tmp_path: Path
):
    registry.project(tmp_path / "a")
    (tmp_path / "a/node_modules").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("a", "b"):
        async with packages.provided(tmp_path / name, "x.spec.ts", "acme", lambda _: None) as linked:
            assert not linked
    assert registry.asked == []


async def test_a_failure_is_the_bundles_or_the_labs(
    packages: NpmPackages, registry: Registry, tmp_path: Path
):
    async def failure(bundle: Path) -> JobError:
        with pytest.raises(JobError) as caught:
            async with packages.provided(bundle, "x.spec.ts", "acme", lambda _: None):
                pass
        assert not (bundle / "node_modules").exists()
        return caught.value

    registry.project(tmp_path / "differs")
    (tmp_path / "differs/package.json").write_text('{"name": "t", "dependencies": {"other": "1"}}')
    error = await failure(tmp_path / "differs")
    assert (error.reason, error.retryable) == ("deps_broken", False)

    registry.broken = True
    registry.project(tmp_path / "gone")
    error = await failure(tmp_path / "gone")
    assert (error.reason, error.retryable) == ("deps_broken", False)
    assert "E404" in error.message

    registry.project(tmp_path / "away", version=">=1.0.0")
    registry.close()
    error = await failure(tmp_path / "away")
    assert (error.reason, error.retryable) == ("deps_failed", True)
    assert "ECONNREFUSED" in error.message


async def test_an_installation_has_a_time_of_its_own(make: MakePackages, registry: Registry, tmp_path: Path):
    registry.silent.set()
    registry.project(tmp_path / "a")
    packages = make(timeout_s=2.0)
    with pytest.raises(JobError, match="took longer than 2 s") as caught:
        async with packages.provided(tmp_path / "a", "x.spec.ts", "acme", lambda _: None):
            pass
    assert (caught.value.reason, caught.value.retryable) == ("deps_timeout", True)
    assert not list((tmp_path / "npm/incoming").iterdir())


async def test_who_asks_while_an_installation_is_being_ended_gets_one_of_his_own(
    packages: NpmPackages, registry: Registry, tmp_path: Path
):
    said: list[str] = []

    async def linked(name: str) -> bool:
        registry.project(tmp_path / name)
        async with packages.provided(tmp_path / name, "x.spec.ts", "acme", said.append) as done:
            return done

    registry.silent.set()
    first = asyncio.create_task(linked("a"))
    await wait_for(lambda: registry.asked, 60)
    first.cancel()
    second = asyncio.create_task(linked("b"))
    await wait_for(lambda: len(said) == 2, 60)
    registry.silent.clear()
    registry.released.set()
    assert await second
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)


async def test_offline_nothing_is_asked_of_a_registry(make: MakePackages, registry: Registry, tmp_path: Path):
    registry.project(tmp_path / "a")
    packages = make(offline=True)
    with pytest.raises(JobError, match="not in the machine's npm cache") as caught:
        async with packages.provided(tmp_path / "a", "x.spec.ts", "acme", lambda _: None):
            pass
    assert (caught.value.reason, caught.value.retryable) == ("deps_failed", True)
    assert registry.asked == []


async def test_the_least_recently_used_installation_goes_when_there_is_no_room(
    make: MakePackages, registry: Registry, tmp_path: Path
):
    packages = make(limit_bytes=1)
    registry.project(tmp_path / "a")
    registry.project(tmp_path / "b", version="^1.0.0")
    async with (
        packages.provided(tmp_path / "a", "x.spec.ts", "acme", lambda _: None),
        packages.provided(tmp_path / "b", "x.spec.ts", "acme", lambda _: None),
    ):
        # What is in use stays, whatever the limit.
        assert (tmp_path / "a/node_modules/tiny/index.js").exists()
        assert (tmp_path / "b/node_modules/tiny/index.js").exists()
    registry.project(tmp_path / "c", version=">=1.0.0")
    async with packages.provided(tmp_path / "c", "x.spec.ts", "acme", lambda _: None):
        kept = [path for path in (tmp_path / "npm").iterdir() if len(path.name) == 64]
        assert len(kept) == 1


async def test_an_installation_that_is_wanted_again_while_it_is_removed_is_made_anew(
    make: MakePackages, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    began, go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> None:
        if (path / "node_modules/tiny").is_dir():
            began.set()
            assert go_on.wait(60)
        remove_tree(path)

    packages = make(limit_bytes=1)
    registry.project(tmp_path / "a")
    registry.project(tmp_path / "b", version="^1.0.0")
    registry.project(tmp_path / "c")
    async with packages.provided(tmp_path / "a", "x.spec.ts", "acme", lambda _: None):
        pass
    monkeypatch.setattr("agent.npm.packages.remove_tree", slow)

    async def linked(folder: str, until: asyncio.Event) -> bool:
        async with packages.provided(tmp_path / folder, "x.spec.ts", "acme", lambda _: None):
            await until.wait()
            return (tmp_path / folder / "node_modules/tiny/package.json").is_file()

    removed, at_once = asyncio.Event(), asyncio.Event()
    at_once.set()
    evicting = asyncio.create_task(linked("b", at_once))
    await asyncio.to_thread(began.wait, 60)
    again = asyncio.create_task(linked("c", removed))
    await wait_for((tmp_path / "c/node_modules/tiny").is_symlink, 60)
    go_on.set()
    assert await evicting
    removed.set()
    assert await again


@pytest.mark.parametrize("limit_bytes", [1, 10**9])
async def test_what_npm_has_downloaded_does_not_grow_for_ever(
    make: MakePackages, registry: Registry, tmp_path: Path, limit_bytes: int
):
    packages = make(limit_bytes=limit_bytes)
    registry.project(tmp_path / "a")
    async with packages.provided(tmp_path / "a", "x.spec.ts", "acme", lambda _: None):
        assert (tmp_path / "a/node_modules/tiny/index.js").exists()
    assert (tmp_path / "npm/npm-cache").exists() == (limit_bytes > 1)
