"""Runner `playwright` with a real browser, and its end when it is cancelled or takes too long."""

from __future__ import annotations

import json
import shutil

import psutil
import pytest

from agent.launch import EndReason
from agent.runners.base import CaseStatus, Verdict
from tests.conftest import required_program
from tests.integration.agent.runners.conftest import Bench

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def config() -> str:
    """A playwright.config of a project that brings its own browser."""
    found = next(filter(None, map(shutil.which, ("chromium-browser", "google-chrome"))), None)
    launch = {"executablePath": found or required_program("chromium"), "args": FLAGS}
    return (
        "import { defineConfig } from '@playwright/test';\n"
        "export default defineConfig({ retries: 1, timeout: 60000, workers: 1, reporter: [['html']],\n"
        f"  use: {{ screenshot: 'only-on-failure', trace: 'retain-on-failure', launchOptions: {json.dumps(launch)} }} }});\n"
    )


SPEC = """
import { test, expect } from '@playwright/test';
const page1 = 'data:text/html,<title>Shop</title><button onclick="this.textContent=1">buy</button>';
test.describe('shop', () => {
  test('passes', async ({ page }) => {
    await page.goto(page1);
    await page.getByRole('button').click();
    await expect(page.getByRole('button')).toHaveText('1');
  });
  test('flaky', async ({ page }, info) => {
    await page.goto(page1);
    expect(await page.title()).toBe(info.retry ? 'Shop' : 'not yet');
  });
});
test('fails', async ({ page }) => {
  test.info().annotations.push({ type: 'x', description: 'y' });
  await page.goto(page1);
  expect(await page.title()).toBe('Other');
});
test('takes too long', async ({ page }) => {
  test.setTimeout(1000);
  await page.goto(page1);
  await page.getByText('never').click();
});
"""

FOREVER = """
import { test } from '@playwright/test';
test('first', async ({ page }) => { await page.goto('about:blank'); });
test('for ever', async ({ page }) => {
  process.on('SIGINT', () => {});
  await page.goto('about:blank');
  console.log('now');
  await new Promise(() => {});
});
"""


async def test_a_browser_test_that_passes_flakes_fails_and_takes_too_long(bench: Bench, config: str):
    bench.add({"e2e/shop.spec.ts": SPEC, "e2e/playwright.config.ts": config})
    result = await bench.run("e2e/shop.spec.ts")
    assert (result.verdict, result.reason) == (Verdict.FAILED, "2 failed, 2 passed"), bench.text()
    found = {case.name: case for case in result.cases}
    assert {name: (case.status, case.attempts, case.flaky) for name, case in found.items()} == {
        "shop › passes": (CaseStatus.PASSED, 1, False),
        "shop › flaky": (CaseStatus.PASSED, 2, True),
        "fails": (CaseStatus.FAILED, 2, False),
        "takes too long": (CaseStatus.FAILED, 2, False),
    }
    assert (found["fails"].file, found["fails"].line) == ("e2e/shop.spec.ts", 15)
    assert "\x1b" not in (found["fails"].message or "\x1b")
    assert "Test timeout of 1000ms exceeded" in (found["takes too long"].message or "")
    assert [one.status for one in found["shop › flaky"].tries] == [CaseStatus.FAILED, CaseStatus.PASSED]
    kept = {path.name for path in bench.dirs.artifacts.rglob("*") if path.is_file()}
    assert {"test-failed-1.png", "trace.zip"} <= kept


@pytest.mark.parametrize("reason", [EndReason.CANCELLED, EndReason.TIMED_OUT])
async def test_a_browser_test_that_is_ended_leaves_its_report_and_no_process(
    bench: Bench, config: str, reason: EndReason
):
    bench.add({"a.spec.ts": FOREVER, "playwright.config.ts": config})
    browsers: list[psutil.Process] = []

    def end(_stream: object, data: bytes) -> None:
        if b"now" in data:
            tree = psutil.Process(bench.supervisor.pid).children(recursive=True)
            browsers.extend(process for process in tree if "chrom" in process.name())
            bench.supervisor.end(reason)

    result = await bench.run("a.spec.ts", sink=end)
    assert browsers, "no browser ran"
    assert not [process for process in browsers if process.is_running()]
    assert {case.name: case.status for case in result.cases}["first"] is CaseStatus.PASSED
    assert result.exit_code != 0


async def test_a_shard_runs_its_own_files_and_none_that_looks_like_them(bench: Bench):
    """Playwright takes arguments for regular expressions, whatever their case and what stands around them."""
    passes = "import { test } from '@playwright/test';\ntest('it', () => {});\n"
    waits = passes.replace("() => {}", "() => new Promise((done) => setTimeout(done, 300))")
    shard = {
        "e2e/login.spec.ts": waits,
        "e2e/a/same.spec.ts": passes.replace("() => {}", "() => { throw new Error('no'); }"),
        "e2e/b/same.spec.ts": passes,
        "e2e/pay (new) [v1.2]+.spec.ts": passes,
        "e2e/none.spec.ts": "export {};\n",
    }
    others = (
        "e2e/login.spec.ts.old.spec.ts",
        "e2e/Login.spec.ts",
        "e2e/c/e2e/login.spec.ts",
        "e2e/loginXspec.ts",
        "e2e/same.spec.ts",
        "e2e/pay new v1.spec.ts",
    )
    bench.add({**shard, **dict.fromkeys(others, passes)})
    bench.add({"e2e/playwright.config.ts": "export default { workers: 1, testMatch: /spec.ts$/ };\n"})
    result, found = await bench.run_shard(shard)
    assert (result.verdict, result.reason) == (Verdict.FAILED, "1 failed, 3 passed"), bench.text()
    assert {name: file.outcome for name, file in found.items()} == {
        "e2e/login.spec.ts": "passed",
        "e2e/a/same.spec.ts": "failed",
        "e2e/b/same.spec.ts": "passed",
        "e2e/pay (new) [v1.2]+.spec.ts": "passed",
    }
    assert next(iter(found)) == "e2e/login.spec.ts"  # which took longest, and longer than it waits
    assert found["e2e/login.spec.ts"].duration_s >= 0.3
