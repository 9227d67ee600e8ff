"""Runners with the real tools, under the real supervisor."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.launch import EndReason, JobDirs, OutputSink
from agent.reports.files import file_results
from agent.runners.base import CaseStatus, Runner, RunnerJob, RunResult, Verdict
from agent.runners.registry import Runners
from agent.runners.toolchain import Toolchain
from agent.supervision.job_supervisor import JobSupervisor
from tests.integration.agent.conftest import Output

ROOT = Path(__file__).parents[3]
NODE_MODULES = Path(os.environ.get("QGJOB_TEST_NODE_MODULES", ROOT / ".venv/node/node_modules"))

needs_playwright = pytest.mark.skipif(
    not (NODE_MODULES / "@playwright/test").is_dir(), reason="no @playwright/test: run scripts/provision.py"
)

Run = Callable[..., Awaitable[RunResult]]


@pytest.fixture(scope="session")
def tools() -> Toolchain:
    return Toolchain.discover({**os.environ, "QGJOB_AGENT_NODE_MODULES": str(NODE_MODULES)})


@pytest.fixture
def run(supervisor: JobSupervisor, dirs: JobDirs, tools: Toolchain) -> Run:
    async def run(
        runner: str,
        files: dict[str, str],
        test: str,
        *argv: str,
        sink: OutputSink | None = None,
        shard: tuple[str, ...] = (),
    ) -> RunResult:
        for name, text in files.items():
            path = dirs.bundle / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        job = RunnerJob(
            job_id="j_1",
            run_id="r_1",
            org_id="acme",
            app_version_id="v1",
            attempt=1,
            test=test,
            tests=shard,
            slot="s1",
            device="d1",
            argv=argv,
        )
        found = Runners.load(tools, {}).find(runner, dirs.bundle, *job.files)
        assert isinstance(found, Runner)
        launch = found.prepare(job, dirs)
        exit_ = await supervisor.run(launch, sink or Output())
        assert exit_.leftovers == 0
        return found.collect(exit_, dirs)

    return run


async def test_command_runs_a_python_file_with_its_environment(run: Run, dirs: JobDirs):
    output = Output()
    script = "import os, sys; print(os.environ['QGJOB_TEST'], os.getcwd()); sys.exit(7)"
    result = await run("auto", {"t.py": script}, "t.py", sink=output)
    assert output.of("stdout").decode() == f"t.py {dirs.bundle}\n"
    assert (result.verdict, result.exit_code) == (Verdict.FAILED, 7)


async def test_command_runs_argv_without_a_shell(run: Run):
    output = Output()
    result = await run(
        "command", {"$(id).txt": ""}, "$(id).txt", "printf", "%s|", "{test}", "a b", "*", sink=output
    )
    assert (result.verdict, output.of("stdout")) == (Verdict.PASSED, b"$(id).txt|a b|*|")


PYTEST = """
import pytest
def test_passes(): pass
def test_fails(): assert 1 == 2, "no"
@pytest.mark.skip(reason="later")
def test_skipped(): pass
@pytest.fixture
def broken(): raise ValueError("broken")
def test_error(broken): pass
"""


async def test_pytest_reports_its_cases(run: Run, dirs: JobDirs):
    result = await run("auto", {"tests/test_a.py": PYTEST, "conftest.py": ""}, "tests/test_a.py")
    assert (result.verdict, result.exit_code) == (Verdict.FAILED, 1)
    assert result.reason == "1 failed, 1 in error, 1 passed"
    assert {(c.class_name, c.name): c.status for c in result.cases} == {
        ("tests.test_a", "test_passes"): CaseStatus.PASSED,
        ("tests.test_a", "test_fails"): CaseStatus.FAILED,
        ("tests.test_a", "test_skipped"): CaseStatus.SKIPPED,
        ("tests.test_a", "test_error"): CaseStatus.ERROR,
    }
    assert not (dirs.bundle / ".pytest_cache").exists()


async def test_pytest_gets_argv_appended(run: Run):
    result = await run("pytest", {"test_a.py": PYTEST}, "test_a.py", "-k", "passes")
    assert (result.verdict, result.counts.total) == (Verdict.PASSED, 1)


@pytest.mark.parametrize(
    ("files", "argv", "verdict", "sentence"),
    [
        ({"test_a.py": "x = 1"}, (), Verdict.FAILED, "pytest collected no tests"),
        ({"test_a.py": "import no_such_module"}, (), Verdict.FAILED, "No module named 'no_such_module'"),
        ({"test_a.py": "def test_a(: pass"}, (), Verdict.FAILED, "could not be collected: SyntaxError"),
        ({"test_a.py": "import os\ndef test_a(): os._exit(0)"}, (), Verdict.FAILED, "before it had run"),
        ({"test_a.py": PYTEST}, ("--no-such-option",), Verdict.FAILED, "pytest could not start"),
        ({"test_a.py": PYTEST, "conftest.py": "1/0"}, (), Verdict.FAILED, "pytest could not start"),
        (
            {"test_a.py": "import os; os._exit(9)"},
            (),
            Verdict.FAILED,
            "exit code 9 and wrote no report",
        ),
    ],
)
async def test_pytest_that_runs_no_test(
    run: Run, files: dict[str, str], argv: tuple[str, ...], verdict: Verdict, sentence: str
):
    result = await run("pytest", files, "test_a.py", *argv)
    assert result.verdict is verdict
    assert sentence in (result.reason or "")


async def test_a_file_that_cannot_be_imported_keeps_no_others_of_its_shard_from_running(run: Run):
    files = {
        "test_a.py": "def test_a(): pass",
        "test_b.py": "import no_such_module",
        "test_c.py": "def test_c(): assert 1 == 2",
    }
    result = await run("pytest", files, "shard 1 of 1", shard=tuple(files))
    assert (result.verdict, result.exit_code) == (Verdict.FAILED, 1)
    assert (result.reason or "").startswith(
        "1 failed, 1 in error, 1 passed; test_b could not be collected: ModuleNotFoundError"
    )
    found, _ = file_results(result.cases, tuple(files))
    assert {one.file: one.outcome for one in found} == {
        "test_a.py": "passed",
        "test_b.py": "failed",
        "test_c.py": "failed",
    }


async def test_pytest_that_is_cancelled_keeps_the_finished_cases(run: Run, supervisor: JobSupervisor):
    script = "import time\ndef test_1(): pass\ndef test_2():\n print('now', flush=True)\n time.sleep(1000)\n"

    def cancel(_stream: object, data: bytes) -> None:
        if b"now" in data:
            supervisor.end(EndReason.CANCELLED, grace_s=60)  # it is to end by itself

    result = await run("pytest", {"test_a.py": script}, "test_a.py", "-s", sink=cancel)
    assert result.exit_code == 2
    assert [(c.name, c.status) for c in result.cases] == [("test_1", CaseStatus.PASSED)]


PLAYWRIGHT = """
import { test, expect } from '@playwright/test';
test('passes', async () => { expect(process.env.QGJOB_JOB_ID).toBe('j_1'); });
test('flaky', async ({}, info) => { expect(info.retry).toBe(1); });
test('fails', async () => { expect(1).toBe(2); });
test.skip('skipped', async () => {});
"""
CONFIG = "import { defineConfig } from '@playwright/test'; export default defineConfig({ retries: 1 });"


@needs_playwright
async def test_playwright_reports_its_cases_and_tells_flaky_ones(run: Run, dirs: JobDirs):
    files = {"e2e/a.spec.ts": PLAYWRIGHT, "e2e/playwright.config.ts": CONFIG, "e2e/b.spec.ts": "throw 1"}
    result = await run("auto", files, "e2e/a.spec.ts", "--workers=1")
    assert (result.verdict, result.exit_code, result.reason) == (Verdict.FAILED, 1, "1 failed, 2 passed")
    assert [(c.name, c.status, c.attempts, c.flaky) for c in result.cases] == [
        ("passes", CaseStatus.PASSED, 1, False),
        ("flaky", CaseStatus.PASSED, 2, True),
        ("fails", CaseStatus.FAILED, 2, False),
        ("skipped", CaseStatus.SKIPPED, 1, False),
    ]
    assert result.junit == dirs.junit


@needs_playwright
@pytest.mark.parametrize(
    ("script", "sentence"), [("let x = ;", "SyntaxError"), ("let x = 1;", "No tests found")]
)
async def test_playwright_that_runs_no_test_says_why(run: Run, script: str, sentence: str):
    result = await run("playwright", {"a.spec.ts": script, "playwright.config.ts": CONFIG}, "a.spec.ts")
    assert result.verdict is Verdict.FAILED
    assert sentence in (result.reason or "")


@needs_playwright
async def test_playwright_that_is_cancelled_still_writes_its_report(run: Run, supervisor: JobSupervisor):
    script = """
import { test } from '@playwright/test';
test('first', async () => {});
test('second', async () => { console.log('now'); await new Promise(() => {}); });
"""

    def cancel(_stream: object, data: bytes) -> None:
        if b"now" in data:
            supervisor.end(EndReason.CANCELLED)

    result = await run(
        "playwright", {"a.spec.ts": script, "playwright.config.ts": CONFIG}, "a.spec.ts", sink=cancel
    )
    assert result.exit_code == 130
    assert "first" in {case.name for case in result.cases}


def test_the_toolchain_of_this_machine(tools: Toolchain, tmp_path: Path):
    assert Path(tools.python).exists()
    assert tools.pytest_python is not None
    bare = Toolchain.discover(
        {"PATH": str(tmp_path), "LANG": "x", "SECRET": "y", "QGJOB_AGENT_PASS_ENV": "A, B", "A": "1"}
    )
    assert (bare.python, bare.pytest_python) == (sys.executable, sys.executable)
    assert {name: bare.environment.get(name) for name in ("PATH", "LANG", "SECRET", "A", "B")} == {
        "PATH": str(tmp_path),
        "LANG": "x",
        "SECRET": None,
        "A": "1",
        "B": None,
    }
