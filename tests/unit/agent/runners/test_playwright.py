"""What runner `playwright` makes of a job, without running it."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from agent.errors import RunnerError
from agent.launch import JobDirs
from agent.runners.base import Verdict
from agent.runners.playwright import PlaywrightRunner
from agent.runners.toolchain import Toolchain
from tests.support.runnerjobs import TOOLS, add, ended, job


def test_playwright_without_its_modules(dirs: JobDirs, tmp_path: Path):
    add(dirs, "a.spec.ts")
    with pytest.raises(
        RunnerError, match=r"@playwright/test is in no node_modules above the test, nor in .*/none"
    ):
        PlaywrightRunner(Toolchain(python="/py", node="/node", node_modules=tmp_path / "none")).prepare(
            job("a.spec.ts"), dirs
        )
    with pytest.raises(RunnerError, match=r"no Node\.js"):
        PlaywrightRunner(Toolchain(python="/py")).prepare(job("a.spec.ts"), dirs)


def test_playwright_is_started_by_node_where_its_config_is(dirs: JobDirs, tmp_path: Path):
    modules = tmp_path / "modules"
    (modules / "@playwright/test").mkdir(parents=True)
    (modules / "@playwright/test/cli.js").write_text("")
    add(dirs, "e2e/playwright.config.ts")
    add(dirs, "e2e/t/a+b (1).spec.ts")
    tools = Toolchain(python="/py", node="/node", node_modules=modules)
    runner, asked = PlaywrightRunner(tools), job("e2e/t/a+b (1).spec.ts", "--workers=1")
    launch = runner.prepare(asked, dirs)
    assert runner.prepare(asked, dirs) == launch
    assert launch.argv == (
        "/node",
        str(modules / "@playwright/test/cli.js"),
        "test",
        "/^" + re.sub(r"[.()+$]", r"\\\g<0>", str(dirs.bundle)) + r"/e2e/t/a\+b \(1\)\.spec\.ts$/",
        "--reporter=list,junit,json",
        f"--output={dirs.artifacts}/test-results",
        "--workers=1",
    )
    assert launch.cwd == dirs.bundle / "e2e"
    assert (dirs.bundle / "node_modules").readlink() == modules


def test_a_bundles_own_modules_come_first(dirs: JobDirs, tmp_path: Path):
    add(dirs, "a.spec.ts")
    cli = dirs.root / "node_modules/@playwright/test/cli.js"
    cli.parent.mkdir(parents=True)
    cli.write_text("")
    launch = PlaywrightRunner(TOOLS).prepare(job("a.spec.ts"), dirs)
    assert launch.argv[1] == str(cli)
    assert not (dirs.bundle / "node_modules").exists()


def test_playwright_without_a_report_is_infrastructure(dirs: JobDirs):
    runner = PlaywrightRunner(TOOLS)
    broken = runner.collect(ended(1), dirs)
    assert (broken.verdict, broken.retryable) == (Verdict.INFRASTRUCTURE, False)
    assert "configuration cannot be loaded" in (broken.reason or "")
    killed = runner.collect(ended(None, signal.SIGKILL), dirs)
    assert (killed.verdict, killed.retryable) == (Verdict.INFRASTRUCTURE, True)
    # Node that is out of its heap aborts; out of room for an array it dies of a trap.
    for number in (signal.SIGABRT, signal.SIGTRAP, signal.SIGILL):
        crashed = runner.collect(ended(None, number), dirs)
        assert (crashed.verdict, crashed.reason) == (
            Verdict.FAILED,
            f"playwright was killed by {number.name} and wrote no report",
        )
    silent = runner.collect(ended(0), dirs)
    assert (silent.verdict, silent.reason) == (
        Verdict.FAILED,
        "playwright ended with exit code 0 before it had run its tests: it wrote no report",
    )
    dirs.junit.write_text("<testsuites/>")
    (dirs.reports / "playwright.json").write_text(
        f'{{"errors": [{{"message": "\\u001b[31mSyntaxError\\u001b[0m: {dirs.bundle}/t/a.spec.ts: x\\ny"}}]}}'
    )
    result = runner.collect(ended(1), dirs)
    assert (result.verdict, result.reason) == (
        Verdict.FAILED,
        "playwright ran no test: SyntaxError: t/a.spec.ts: x",
    )


@pytest.mark.parametrize(
    ("argv", "reporters", "others"),
    [
        ((), "list,junit,json", ()),
        (("--reporter=line", "--project", "a"), "line,junit,json", ("--project", "a")),
        (("-g", "x", "--reporter", "html,json"), "html,json,junit", ("-g", "x")),
    ],
)
def test_reports_are_written_beside_a_reporter_of_the_users(
    dirs: JobDirs, argv: tuple[str, ...], reporters: str, others: tuple[str, ...]
):
    add(dirs, "a.spec.ts")
    add(dirs, "node_modules/@playwright/test/cli.js")
    launch = PlaywrightRunner(TOOLS).prepare(job("a.spec.ts", *argv), dirs)
    assert [word for word in launch.argv if word.startswith("--reporter")] == [f"--reporter={reporters}"]
    assert launch.argv[len(launch.argv) - len(others) :] == others
    assert Path(launch.env["PLAYWRIGHT_HTML_OUTPUT_DIR"]).parent == dirs.artifacts


def test_an_older_playwright_writes_its_reports_to_the_same_places(dirs: JobDirs):
    add(dirs, "a.spec.ts")
    add(dirs, "node_modules/@playwright/test/cli.js")
    env = PlaywrightRunner(TOOLS).prepare(job("a.spec.ts"), dirs).env
    for new, old in (
        ("PLAYWRIGHT_JSON_OUTPUT_FILE", "PLAYWRIGHT_JSON_OUTPUT_NAME"),
        ("PLAYWRIGHT_JUNIT_OUTPUT_FILE", "PLAYWRIGHT_JUNIT_OUTPUT_NAME"),
        ("PLAYWRIGHT_HTML_OUTPUT_DIR", "PLAYWRIGHT_HTML_REPORT"),
        ("PLAYWRIGHT_HTML_OPEN", "PW_TEST_HTML_REPORT_OPEN"),
    ):
        assert env[old] == env[new]


@pytest.mark.parametrize("other", [None, "Error: no such button", ""])
def test_a_machine_without_the_browser_is_the_labs_trouble(dirs: JobDirs, other: str | None):
    no_browser = (
        "Error: browserType.launch: Executable doesn't exist at "
        "/home/.cache/ms-playwright/chromium_headless_shell-1255/linux/shell\n╔═══╗\n║ Looks like …"
    )
    messages = [no_browser, no_browser] if other is None else [no_browser, other]
    tests = [
        {
            "status": "unexpected" if text else "expected",
            "results": [{"status": "failed", "error": {"message": text}}],
        }
        for text in messages
    ]
    specs = [{"title": f"t{n}", "tests": [test]} for n, test in enumerate(tests)]
    report = {"suites": [{"title": "a.spec.ts", "specs": specs}]}
    (dirs.reports / "playwright.json").write_text(json.dumps(report))
    result = PlaywrightRunner(TOOLS).collect(ended(1), dirs)
    if other is None:
        assert (result.verdict, result.word, result.retryable) == (
            Verdict.INFRASTRUCTURE,
            "tool_missing",
            True,
        )
        assert "no chromium_headless_shell-1255" in (result.reason or "")
    else:
        assert (result.verdict, result.word) == (Verdict.FAILED, None), "a test ran"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"errors": []}', '{"errors": [1]}', '{"errors": 5}', "[" * 100_000]
)
def test_a_strange_json_report_is_passed_over(dirs: JobDirs, text: str):
    dirs.junit.write_text("<testsuites/>")
    (dirs.reports / "playwright.json").write_text(text)
    assert PlaywrightRunner(TOOLS).collect(ended(1), dirs).reason == "playwright ran no test: exit code 1"
