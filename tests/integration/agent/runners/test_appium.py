"""The agent's Appium server, real, with a driver of ours: through pytest, AppWright and WebdriverIO."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent.appium.capabilities import device_capabilities
from agent.appium.server import AppiumServer, AppiumSetup
from agent.errors import JobError
from agent.runners.base import CaseStatus, Verdict
from tests.integration.agent.runners.conftest import PHONE, Bench

ROOT = Path(__file__).parents[4]

PYTEST = """
import json, os
from appium import webdriver
from appium.options.common import AppiumOptions
import pytest

@pytest.fixture
def driver():
    options = AppiumOptions().load_capabilities(json.loads(os.environ["QGJOB_APPIUM_CAPS"]))
    driver = webdriver.Remote(os.environ["QGJOB_APPIUM_URL"], options=options)
    yield driver
    if "leave" not in os.environ: driver.quit()

def test_title(driver):
    assert driver.find_element("id", "title").text == "Hello from com.acme.shop"
    assert driver.capabilities["udid"] == os.environ["QGJOB_UDID"] == "lab-1"
    assert os.environ["QGJOB_APP_PACKAGE"] == "com.acme.shop"

def test_wrong(driver):
    driver.find_element("id", "nowhere")
"""

APPWRIGHT = """
import { test, expect } from "appwright";

test("greets", async ({ device }) => {
  await expect(device.getByText("Hello from com.acme.shop")).toBeVisible();
});
test("fills in", async ({ device }) => {
  await device.getById("name").fill("Ada");
  expect(await device.getById("name").getText()).toBe("Ada");
});
test("second time", async ({ device }, info) => {
  expect(await device.getById("udid").getText()).toBe(info.retry ? "lab-1" : "other");
});
test("fails", async ({ device }) => {
  expect(await device.getById("title").getText()).toBe("something else");
});
"""
APPWRIGHT_CONFIG = """
import { defineConfig, Platform } from "appwright";
export default defineConfig({
  testDir: ".",
  retries: 1,
  use: { expectTimeout: 20000 },
  projects: [
    { name: "ios", use: { platform: Platform.IOS, device: { provider: "emulator", name: "iPhone" }, buildPath: "x.app" } },
    { name: "android", use: { platform: Platform.ANDROID, device: { provider: "local-device" }, buildPath: "no/such.apk" } },
  ],
});
"""

WDIO = """
describe("shop", () => {
  it("greets", async () => {
    const element = await driver.findElement("id", "title");
    if ((await driver.getElementText(Object.values(element)[0])) !== "Hello from com.acme.shop") throw new Error("no");
  });
  let times = 0;
  it("second time", async function () { this.retries(1); if (!times++) throw new Error("not yet"); });
  it("fails", async () => { throw new Error("as it should"); });
  it.skip("skipped", async () => {});
});
"""
WDIO_CONFIG = """
export const config = {
  runner: "local", framework: "mocha", reporters: [], logLevel: "warn", connectionRetryCount: 0,
  services: ["appium"], port: 4723,
  capabilities: [{ platformName: "iOS" }, { platformName: "Android", "appium:app": "/no/such.apk", "appium:deviceName": "Pixel" }],
};
"""


async def test_pytest_with_the_appium_client(bench: Bench):
    bench.app = PHONE
    bench.add({"e2e/test_shop.py": PYTEST})
    result = await bench.run("e2e/test_shop.py")
    assert result.verdict is Verdict.FAILED, bench.text()
    assert {case.name: (case.status, case.file, case.line) for case in result.cases} == {
        "test_title": (CaseStatus.PASSED, "e2e/test_shop.py", 14),
        "test_wrong": (CaseStatus.FAILED, "e2e/test_shop.py", 19),
    }


async def test_appwright_tests_run_unmodified(bench: Bench):
    bench.app = PHONE
    bench.add({"e2e/shop.spec.ts": APPWRIGHT, "e2e/appwright.config.ts": APPWRIGHT_CONFIG})
    result = await bench.run("e2e/shop.spec.ts")
    assert result.reason == "1 failed, 3 passed", bench.text()
    assert [(case.name, case.status, case.attempts, case.flaky) for case in result.cases] == [
        ("greets", CaseStatus.PASSED, 1, False),
        ("fills in", CaseStatus.PASSED, 1, False),
        ("second time", CaseStatus.PASSED, 2, True),
        ("fails", CaseStatus.FAILED, 2, False),
    ]
    assert "project android, for the device is android" in bench.text()


async def test_appwright_in_a_project_of_modules_with_a_project_named(bench: Bench):
    bench.app = PHONE
    files = {"shop.spec.ts": APPWRIGHT, "appwright.config.ts": APPWRIGHT_CONFIG}
    bench.add({**files, "package.json": json.dumps({"type": "module"})})
    result = await bench.run("shop.spec.ts", "--project", "android", "--grep", "greets")
    assert result.verdict is Verdict.PASSED, bench.text()
    assert [case.name for case in result.cases] == ["greets"]


async def test_wdio_on_the_slots_server(bench: Bench):
    bench.app = PHONE
    bench.add({"e2e/shop.e2e.js": WDIO, "wdio.conf.js": WDIO_CONFIG, "package.json": '{"type": "module"}'})
    # The words of a user's reporter come behind: ours is there all the same.
    result = await bench.run("e2e/shop.e2e.js", "--reporters", "dot")
    assert result.reason == "1 failed, 2 passed", bench.text()
    assert [
        (case.class_name, case.name, case.status, case.attempts, case.flaky) for case in result.cases
    ] == [
        ("shop", "greets", CaseStatus.PASSED, 1, False),
        ("shop", "second time", CaseStatus.PASSED, 2, True),
        ("shop", "fails", CaseStatus.FAILED, 1, False),
        ("shop", "skipped", CaseStatus.SKIPPED, 1, False),
    ]
    assert {case.file for case in result.cases} == {"e2e/shop.e2e.js"}
    assert "as it should" in (result.cases[2].message or "")
    (lines,) = (bench.dirs.reports / "wdio").glob("*.jsonl")  # of which cases in several browsers are told
    assert {json.loads(line).get("caps") for line in lines.read_text().splitlines()} == {"0"}


async def test_appium_pytest_needs_a_device(bench: Bench):
    bench.add({"test_shop.py": PYTEST})
    with pytest.raises(JobError, match="needs a device that Appium can reach") as caught:
        await bench.run("test_shop.py")
    assert (caught.value.reason, caught.value.retryable) == ("no_device", True)


@pytest.fixture
async def server(bench: Bench) -> AsyncIterator[AppiumServer]:
    assert bench.tools.appium is not None
    assert bench.tools.node is not None
    folder = bench.dirs.root / "server"
    folder.mkdir()
    server = AppiumServer(
        AppiumSetup(
            tool=bench.tools.appium,
            node=bench.tools.node,
            environment=bench.tools.environment,
            folder=folder,
            mark=bench.kit.mark,
        )
    )
    yield server
    await server.close()


async def asked(url: str, path: str, body: object = None) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    return await asyncio.to_thread(ask)


async def test_a_server_is_kept_warm_and_started_again_when_it_does_not_answer(server: AppiumServer):
    capabilities = device_capabilities(PHONE)
    assert capabilities is not None
    url = await server.ready(capabilities)
    wanted = {"platformName": "Android", "appium:automationName": "Lab"}
    opened = await asked(url, "/session", {"capabilities": {"alwaysMatch": wanted}})
    # A session that names no device gets the slot's.
    assert opened["value"]["capabilities"]["udid"] == "lab-1"
    assert len((await asked(url, "/appium/sessions"))["value"]) == 1

    assert await server.ready(capabilities) == url
    assert (await asked(url, "/appium/sessions"))["value"] == []
    assert server.starts == 1

    process = next(
        p for p in psutil.Process().children(recursive=True) if "appium/index.js" in " ".join(p.cmdline())
    )
    process.send_signal(signal.SIGKILL)
    psutil.wait_procs([process], timeout=20)
    again = await server.ready(capabilities)
    assert (await asked(again, "/status"))["value"]["ready"]
    assert server.starts == 2


async def test_a_driver_that_is_not_installed_is_said(server: AppiumServer):
    with pytest.raises(JobError, match="the driver 'nosuch' because it is not installed") as caught:
        await server.ready({"platformName": "Android", "appium:automationName": "NoSuch"})
    assert (caught.value.reason, caught.value.retryable) == ("appium_failed", True)
    assert "appium driver install" in (caught.value.hint or "")
    assert not server.alive


AGENT = """
import asyncio, json, sys
from pathlib import Path
from agent.appium.server import AppiumServer, AppiumSetup
from agent.runners.toolchain import AppiumTool

async def main():
    given = json.loads(sys.argv[1])
    tool = AppiumTool(main=Path(given["main"]), home=Path(given["home"]))
    server = AppiumServer(AppiumSetup(tool=tool, node=given["node"], environment=given["environment"],
                                      folder=Path(given["folder"]), mark=given["mark"]))
    print(await server.ready(given["capabilities"]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_server_ends_with_its_agent_even_when_that_is_killed(bench: Bench, tmp_path: Path):
    tools = bench.tools
    assert tools.appium is not None
    given = {
        "main": str(tools.appium.main),
        "home": str(tools.appium.home),
        "node": tools.node,
        "environment": dict(tools.environment),
        "folder": str(tmp_path),
        "mark": bench.kit.mark,
        "capabilities": device_capabilities(PHONE),
    }
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, json.dumps(given), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert agent.stdout is not None
    assert (await agent.stdout.readline()).startswith(b"http://127.0.0.1:")
    tree = psutil.Process(agent.pid).children(recursive=True)
    assert any("appium/index.js" in " ".join(process.cmdline()) for process in tree)
    agent.kill()
    await agent.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, tree, 30)
    assert alive == []
