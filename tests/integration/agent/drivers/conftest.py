"""The real adb on simulated phones."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.adb.device import AdbDevice
from agent.drivers.adb.driver import AdbDriver
from agent.drivers.base import Build, DriverContext
from qgjob.clock import SystemClock
from tests.support.adbsim import AdbHost, PhoneLink
from tests.support.adbsim.apk import make_apk

MakeApkBuild = Callable[..., Build]


@pytest.fixture
async def host(adb_program: str, tmp_path: Path) -> AsyncIterator[AdbHost]:
    async with AdbHost(tmp_path / "adb-home") as made:
        yield made


@pytest.fixture
async def link() -> AsyncIterator[PhoneLink]:
    async with PhoneLink() as made:
        yield made


@contextlib.asynccontextmanager
async def driving(host: AdbHost, folder: Path, *serials: str, **options: str) -> AsyncGenerator[AdbDriver]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in host.environment.items():
            patch.setenv(name, value)
        context = DriverContext(
            folder=folder,
            clock=SystemClock(),
            devices=serials,
            labels=frozenset({"rack-1"}),
            device_labels={serial: frozenset({"nfc"}) for serial in serials},
            options={"port": str(host.port), **options},
        )
        driver = AdbDriver(context)
        try:
            yield driver
        finally:
            await driver.close()


@pytest.fixture
async def device(host: AdbHost, link: PhoneLink, tmp_path: Path) -> AsyncIterator[AdbDevice]:
    async with driving(host, tmp_path / "agent", link.serial) as driver:
        (presence,) = await driver.discover()
        assert presence.present, presence.note
        made = presence.device
        assert isinstance(made, AdbDevice)
        await made.open()
        yield made
        await made.close()


@pytest.fixture
def apk(tmp_path: Path) -> MakeApkBuild:
    def make(version: str = "v1", code: int = 1, *, org: str = "acme", **more: Any) -> Build:
        path = make_apk(tmp_path / f"{org}-{version}.apk", version_code=code, **more)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Build(org_id=org, app_version_id=version, path=path, sha256=digest)

    return make


Adb = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def adb(host: AdbHost, link: PhoneLink) -> Adb:
    """The real client on the one phone."""

    async def run(*arguments: str) -> tuple[int, str]:
        return await host.adb("-s", link.serial, *arguments)

    return run
