"""Shards of AppWright and WebdriverIO, with the real tools: their own files alone, each with its outcome."""

from __future__ import annotations

from agent.runners.base import Verdict
from tests.integration.agent.runners.conftest import PHONE, Bench

APPWRIGHT_CONFIG = """
import { defineConfig, Platform } from "appwright";
export default defineConfig({
  testDir: ".",
  use: { expectTimeout: 20000 },
  projects: [
    { name: "android", use: { platform: Platform.ANDROID, device: { provider: "local-device" }, buildPath: "no/such.apk" } },
  ],
});
"""
APPWRIGHT = """
import { test, expect } from "appwright";
test("greets", async ({ device }) => {
  expect(await device.getById("title").getText()).toBe("EXPECTED");
});
"""

WDIO_CONFIG = """
export const config = {
  runner: "local", framework: "mocha", reporters: [], logLevel: "warn", connectionRetryCount: 0, services: ["appium"],
  port: 4723, specs: ["./e2e/**/*.e2e.js"],
  capabilities: [{ platformName: "Android", "appium:app": "/no/such.apk", "appium:deviceName": "Pixel" }],
};
"""
WDIO = """
describe("shop", () => {
  it("greets", async () => {
    const element = await driver.findElement("id", "title");
    if ((await driver.getElementText(Object.values(element)[0])) !== "EXPECTED") throw new Error("another title");
  });
});
"""

GREETS = "Hello from com.acme.shop"


def project(script: str, shard: dict[str, str], others: tuple[str, ...]) -> dict[str, str]:
    """Test files by the title that each expects, and others that look like them and must not run."""
    return {
        name: script.replace("EXPECTED", expected)
        for name, expected in {**dict.fromkeys(others, "not to be run"), **shard}.items()
    }


async def test_a_shard_of_appwright_runs_its_own_files_and_none_that_looks_like_them(bench: Bench):
    bench.app = PHONE
    shard = {"e2e/login.spec.ts": GREETS, "e2e/a/same.spec.ts": "Other", "e2e/pay (new) [1]+.spec.ts": GREETS}
    others = ("e2e/b/same.spec.ts", "e2e/Login.spec.ts", "e2e/loginXspec.ts", "e2e/pay new 1.spec.ts")
    bench.add(project(APPWRIGHT, shard, others))
    bench.add({"e2e/appwright.config.ts": APPWRIGHT_CONFIG})
    result, found = await bench.run_shard(shard)
    assert (result.verdict, result.reason) == (Verdict.FAILED, "1 failed, 2 passed"), bench.text()
    assert {name: file.outcome for name, file in found.items()} == {
        "e2e/login.spec.ts": "passed",
        "e2e/a/same.spec.ts": "failed",
        "e2e/pay (new) [1]+.spec.ts": "passed",
    }


async def test_a_shard_of_wdio_runs_its_own_specs_and_none_that_looks_like_them(bench: Bench):
    bench.app = PHONE
    shard = {"e2e/login.e2e.js": GREETS, "e2e/a/same.e2e.js": "Other", "e2e/pay (new) [1]+.e2e.js": GREETS}
    others = ("e2e/b/same.e2e.js", "e2e/Login.e2e.js", "e2e/login.e2e.js.old.e2e.js", "e2e/pay new 1.e2e.js")
    bench.add(project(WDIO, shard, others))
    bench.add({"wdio.conf.js": WDIO_CONFIG, "package.json": '{"type": "module"}'})
    result, found = await bench.run_shard(shard)
    assert (result.verdict, result.reason) == (Verdict.FAILED, "1 failed, 2 passed"), bench.text()
    assert {name: file.outcome for name, file in found.items()} == {
        "e2e/login.e2e.js": "passed",
        "e2e/a/same.e2e.js": "failed",
        "e2e/pay (new) [1]+.e2e.js": "passed",
    }
