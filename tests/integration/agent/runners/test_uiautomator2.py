"""The whole way to a device: driver adb, the real adb, Appium with the real UiAutomator2 driver, pytest.

The phone is simulated, and so is the server that UiAutomator2 has on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.drivers.adb.driver import AdbDriver
from agent.drivers.base import Build, DriverContext
from agent.runners.base import Verdict
from agent.runners.kit import Kit
from qgjob.clock import SystemClock
from tests.integration.agent.runners.conftest import Bench
from tests.support.adbsim import AdbHost, Phone, PhoneLink
from tests.support.adbsim.apk import make_apk
from tests.support.adbsim.link import Stream

ON_DEVICE_PORT = 6790
KEY = "element-6066-11e4-a52e-4f735466cecf"

PYTEST = """
import json, os
from appium import webdriver
from appium.options.android import UiAutomator2Options

# What a simulated phone cannot do; a test for real ones needs the capabilities alone.
SIMULATED = {"skipServerInstallation": True, "skipDeviceInitialization": True, "noSign": True, "autoLaunch": False,
             "appActivity": ".Main"}

def test_text():
    options = UiAutomator2Options().load_capabilities(json.loads(os.environ["QGJOB_APPIUM_CAPS"]) | SIMULATED)
    driver = webdriver.Remote(os.environ["QGJOB_APPIUM_URL"], options=options)
    assert driver.find_element("id", "title").text == "Hello"
    assert driver.capabilities["udid"] == os.environ["ANDROID_SERIAL"]
    assert driver.capabilities["appPackage"] == os.environ["QGJOB_APP_PACKAGE"]
"""


class OnDevice:
    """Speaks as io.appium.uiautomator2.server does, as far as a test asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                lengths = [line.split(":")[1] for line in head if line.lower().startswith("content-length:")]
                if lengths:
                    await reader.readexactly(int(lengths[0]))
                method, path, _ = head[0].split()
                self.asked.append(f"{method} {path}")
                data = json.dumps({"sessionId": "s1", "value": self.answer(path.rpartition("/")[2])}).encode()
                answer = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
                writer.write(answer.encode() + data)
                await writer.drain()
        writer.close()

    def answer(self, what: str) -> object:
        answers: dict[str, object] = {
            "status": {"ready": True, "message": "ready"},
            "session": {"sessionId": "s1", "capabilities": {}},
            "sessions": [],
            "element": {KEY: "e1"},
            "text": "Hello",
        }
        return answers.get(what)


class InstrumentedPhone(Phone):
    """Its instrumentation runs until the link to it is closed, as a real one's does."""

    async def serve(self, service: str, stream: Stream) -> None:
        if ":am instrument" in service:
            while await stream.read():
                pass
            return
        await super().serve(service, stream)


@pytest.fixture
async def on_device() -> AsyncIterator[tuple[OnDevice, int]]:
    made = OnDevice()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    yield made, server.sockets[0].getsockname()[1]
    server.close()


async def test_pytest_on_uiautomator2(
    bench: Bench,
    adb_program: str,
    on_device: tuple[OnDevice, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    served, port = on_device
    apk = make_apk(tmp_path / "shop.apk", version_code=1)
    sdk = tmp_path / "sdk"
    (sdk / "platform-tools").mkdir(parents=True)
    (sdk / "platform-tools/adb").symlink_to(adb_program)
    async with AdbHost(tmp_path / "adb-home") as host, PhoneLink(InstrumentedPhone()) as link:
        link.phone.ports[ON_DEVICE_PORT] = port
        for name in ("exec", "settings"):  # asked on the way, and of no matter
            link.phone.programs[name] = lambda _: ""
        for name, value in host.environment.items():
            monkeypatch.setenv(name, value)
        driver = AdbDriver(
            DriverContext(
                folder=tmp_path / "agent",
                clock=SystemClock(),
                devices=(link.serial,),
                options={"port": str(host.port)},
            )
        )
        (presence,) = await driver.discover()
        device = presence.device
        await device.open()
        digest = hashlib.sha256(apk.read_bytes()).hexdigest()
        installed = await device.install(
            Build(org_id="acme", app_version_id="v1", path=apk, sha256=digest), timeout_s=60
        )
        assert installed.ok, installed.detail

        environment = {**bench.tools.environment, **host.environment, "ANDROID_HOME": str(sdk)}
        bench.tools = dataclasses.replace(bench.tools, environment=environment)
        await bench.kit.close()
        bench.kit = Kit(bench.tools, bench.kit.packages, bench.kit.folder, bench.kit.mark)
        bench.app = await device.start_app("com.example.shop", timeout_s=10)
        bench.add({"test_shop.py": PYTEST})
        result = await bench.run("test_shop.py")
        assert result.verdict is Verdict.PASSED, bench.text()
        assert "POST /session/s1/element" in served.asked
        # The test left its session open: it was closed for it.
        assert "DELETE /session/s1" in served.asked
        await device.settle()
        await bench.kit.close()
        await device.close()
        await driver.close()
