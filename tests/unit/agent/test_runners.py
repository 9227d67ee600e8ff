"""What runners make of a job, without running it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from agent import shorttmp
from agent.drivers.registry import find_driver
from agent.errors import RunnerError
from agent.launch import Exit, JobDirs, OutputSink
from agent.runners.base import InProcessRunner, Runner, RunnerJob, RunResult, Verdict
from agent.runners.command import CommandRunner
from agent.runners.detect import detect_runner
from agent.runners.environment import job_environment
from agent.runners.playwright import PlaywrightRunner
from agent.runners.pytest_runner import PytestRunner
from agent.runners.registry import Runners
from agent.runners.toolchain import Toolchain
from qgjob.errors import UsageError

TOOLS = Toolchain(
    python="/py",
    pytest_python="/pytest-py",
    node="/node",
    environment={"PATH": "/bin", "LANG": "de_DE.UTF-8"},
)


def job(test: str = "t.sh", *argv: str, **env: str) -> RunnerJob:
    return RunnerJob(
        job_id="j_1",
        run_id="r_1",
        org_id="acme",
        app_version_id="v1",
        attempt=2,
        test=test,
        slot="s1",
        device="d1",
        argv=argv,
        env=env,
        app_url="http://127.0.0.1:1",
    )


@pytest.fixture
def dirs(tmp_path: Path) -> Iterator[JobDirs]:
    dirs = JobDirs(root=tmp_path / "job")
    dirs.create()
    dirs.bundle.mkdir()
    yield dirs
    shorttmp.forget_short_tmp(tmp_path)


def add(dirs: JobDirs, name: str, text: str = "", mode: int = 0o644) -> None:
    path = dirs.bundle / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def ended(code: int | None = None, number: int | None = None) -> Exit:
    return Exit(code=code, signal=number, duration_s=1.0)


def test_the_environment_is_ours_and_the_users_but_never_the_agents(
    dirs: JobDirs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AGENT_SECRET", "x")
    monkeypatch.setattr(shorttmp, "MAX_BYTES", 4096)
    env = job_environment(job(GREETING="hi", PATH="/mine", QGJOB_JOB_ID="forged", QGJOB_NEW="x"), dirs, TOOLS)
    assert env == {
        "CI": "true",
        "GREETING": "hi",
        "HOME": str(dirs.home),
        "LANG": "de_DE.UTF-8",
        "PATH": "/mine",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(dirs.tmp),
        "QGJOB_APP_DIR": "",
        "QGJOB_APP_PACKAGE": "",
        "QGJOB_APP_URL": "http://127.0.0.1:1",
        "QGJOB_APP_VERSION_ID": "v1",
        "QGJOB_ARTIFACTS_DIR": str(dirs.artifacts),
        "QGJOB_BUNDLE_DIR": str(dirs.bundle),
        "QGJOB_DEVICE": "d1",
        "QGJOB_JOB_ATTEMPT": "2",
        "QGJOB_JOB_ID": "j_1",
        "QGJOB_JUNIT_FILE": str(dirs.reports / "junit.xml"),
        "QGJOB_ORG_ID": "acme",
        "QGJOB_RUN_ID": "r_1",
        "QGJOB_SLOT": "s1",
        "QGJOB_TEST": "t.sh",
    }


@pytest.mark.parametrize(
    ("name", "text", "mode", "argv"),
    [
        ("t.sh", "#!/bin/sh", 0o755, ("./t.sh",)),
        ("sub/-t.sh", "", 0o644, ("sh", "./sub/-t.sh")),
        ("t.py", "", 0o644, ("/py", "./t.py")),
        ("t.py", "no first line", 0o755, ("/py", "./t.py")),
        ("t.py", "#!/usr/bin/env python3", 0o755, ("./t.py",)),
        ("t.mjs", "", 0o644, ("/node", "./t.mjs")),
        ("binary", "\x7fELF", 0o755, ("./binary",)),
    ],
)
def test_command_runs_the_file_itself(dirs: JobDirs, name: str, text: str, mode: int, argv: tuple[str, ...]):
    add(dirs, name, text, mode)
    launch = CommandRunner(TOOLS).prepare(job(name), dirs)
    assert (launch.argv, launch.cwd) == (argv, dirs.bundle)


def test_command_fills_in_each_element_by_itself_and_once(dirs: JobDirs):
    add(dirs, "a {bundle};$(x).sh")
    launch = CommandRunner(TOOLS).prepare(
        job("a {bundle};$(x).sh", "run", "--file={test}", "{bundle}/{other}", ""), dirs
    )
    assert launch.argv == ("run", "--file=a {bundle};$(x).sh", f"{dirs.bundle}/{{other}}", "")


def test_command_with_argv_needs_no_bundle(dirs: JobDirs):
    assert CommandRunner(TOOLS).prepare(job("t.sh", "true"), dirs).argv == ("true",)
    with pytest.raises(RunnerError, match="leads out of its bundle"):
        CommandRunner(TOOLS).prepare(job("../t.sh", "cat", "{test}"), dirs)


@pytest.mark.parametrize(
    ("test", "reason", "sentence"),
    [
        ("gone.sh", "test_missing", "there is no gone.sh in the test bundle"),
        ("../x", "test_missing", "leads out of its bundle"),
        ("/etc/passwd", "test_missing", "leads out of its bundle"),
        ("", "test_missing", "leads out of its bundle"),
        ("folder", "test_missing", "there is no folder"),
        ("t.rb", "not_runnable", "t.rb cannot be run by itself"),
        ("t.js", "tool_missing", "needs Node.js"),
    ],
)
def test_command_says_what_it_cannot_run(dirs: JobDirs, test: str, reason: str, sentence: str):
    for name in ("t.rb", "t.js", "folder/x"):
        add(dirs, name)
    tools = Toolchain(python="/py")
    with pytest.raises(RunnerError, match=sentence) as caught:
        CommandRunner(tools).prepare(job(test), dirs)
    assert caught.value.reason == reason


def test_commands_verdict_is_the_exit_code(dirs: JobDirs):
    runner = CommandRunner(TOOLS)
    assert runner.collect(ended(0), dirs) == RunResult(verdict=Verdict.PASSED, exit_code=0)
    failed = runner.collect(ended(3), dirs)
    assert (failed.verdict, failed.reason, failed.exit_code) == (Verdict.FAILED, "exit code 3", 3)
    crashed = runner.collect(ended(None, signal.SIGSEGV), dirs)
    assert (crashed.verdict, crashed.reason, crashed.exit_code) == (Verdict.FAILED, "killed by SIGSEGV", 139)


def test_command_reads_a_report_when_there_is_one(dirs: JobDirs):
    dirs.junit.write_text(
        '<testsuite><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'
    )
    result = CommandRunner(TOOLS).collect(ended(1), dirs)
    assert (result.counts.passed, result.counts.failed, result.junit) == (1, 1, dirs.junit)


def test_pytest_without_a_python_that_has_it(dirs: JobDirs):
    add(dirs, "test_a.py")
    with pytest.raises(RunnerError, match="no Python on this machine has pytest"):
        PytestRunner(Toolchain(python="/py")).prepare(job("test_a.py"), dirs)


@pytest.mark.parametrize(
    ("code", "cases", "verdict", "retryable"),
    [
        (0, 1, Verdict.PASSED, True),
        (0, None, Verdict.FAILED, True),
        (1, 1, Verdict.FAILED, True),
        (1, None, Verdict.INFRASTRUCTURE, True),
        (2, 1, Verdict.FAILED, True),
        (2, None, Verdict.INFRASTRUCTURE, True),
        (3, 0, Verdict.INFRASTRUCTURE, True),
        (4, None, Verdict.INFRASTRUCTURE, False),
        (5, 0, Verdict.FAILED, True),
        (-9, None, Verdict.INFRASTRUCTURE, True),
    ],
)
def test_pytests_exit_codes(dirs: JobDirs, code: int, cases: int | None, verdict: Verdict, retryable: bool):
    if cases is not None:
        inside = '<testcase name="a"><failure/></testcase>' * cases
        dirs.junit.write_text(f"<testsuite>{inside}</testsuite>")
    result = PytestRunner(TOOLS).collect(ended(code) if code >= 0 else ended(None, -code), dirs)
    assert (result.verdict, result.retryable) == (verdict, retryable)
    assert (result.reason is None) == (verdict is Verdict.PASSED)


def test_pytests_report_is_ours_whatever_the_user_asks_for(dirs: JobDirs):
    add(dirs, "test_a.py")
    argv = PytestRunner(TOOLS).prepare(job("test_a.py", "--junitxml=mine.xml", "--", "-b.py"), dirs).argv
    assert argv[-4:] == ("--junitxml=mine.xml", f"--junitxml={dirs.junit}", "--", "-b.py")


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (
            "E   ModuleNotFoundError: No module named 'acme'",
            (
                "tests.test_a could not be collected: ModuleNotFoundError: No module named 'acme'. "
                "Nothing is installed for Python tests: they run with what /pytest-py has"
            ),
        ),
        (
            "E     File 'test_a.py', line 1\nE       def test_a(:\nE   SyntaxError: invalid syntax",
            "tests.test_a could not be collected: SyntaxError: invalid syntax",
        ),
        ("nothing told", "tests.test_a could not be collected: collection failure"),
    ],
)
def test_pytest_says_why_a_file_could_not_be_imported(dirs: JobDirs, raised: str, reason: str):
    text = "import acme\n" * 1000 + raised
    dirs.junit.write_text(
        '<testsuite><testcase classname="" name="tests.test_a">'
        f'<error message="collection failure">{text}</error></testcase></testsuite>'
    )
    result = PytestRunner(TOOLS).collect(ended(2), dirs)
    assert (result.verdict, result.reason) == (Verdict.FAILED, reason)


def test_a_broken_report_leaves_the_verdict_to_the_exit_code(dirs: JobDirs):
    dirs.junit.write_text('<testsuite><testcase name="a"/><testc')
    result = PytestRunner(TOOLS).collect(ended(0), dirs)
    assert (result.verdict, result.junit, result.counts.total) == (Verdict.PASSED, dirs.junit, 1)


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
        "/^" + str(dirs.bundle).replace(".", r"\.") + r"/e2e/t/a\+b \(1\)\.spec\.ts$/",
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
    silent = runner.collect(ended(0), dirs)
    assert (silent.verdict, silent.reason) == (
        Verdict.PASSED,
        "playwright ended with exit code 0 and wrote no report",
    )
    dirs.junit.write_text("<testsuites/>")
    (dirs.reports / "playwright.json").write_text(
        '{"errors": [{"message": "\\u001b[31mSyntaxError\\u001b[0m: x\\ny"}]}'
    )
    result = runner.collect(ended(1), dirs)
    assert (result.verdict, result.reason) == (Verdict.FAILED, "playwright ran no test: SyntaxError: x")


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


@pytest.mark.parametrize(
    ("files", "test", "runner"),
    [
        ({}, "a.spec.ts", "command"),
        ({"playwright.config.ts": ""}, "e2e/a.spec.ts", "playwright"),
        ({"e2e/playwright.config.mjs": ""}, "e2e/sub/a.test.js", "playwright"),
        ({"other/playwright.config.ts": ""}, "e2e/a.spec.ts", "command"),
        ({"package.json": '{"devDependencies": {"@playwright/test": "1"}}'}, "a.spec.tsx", "playwright"),
        ({"package.json": '{"dependencies": ["@playwright/test"]}'}, "a.spec.ts", "command"),
        ({"package.json": "[" * 99_999}, "a.spec.ts", "command"),
        ({"playwright.config.ts": ""}, "helper.ts", "command"),
        ({}, "test_a.py", "command"),
        ({"conftest.py": ""}, "tests/test_a.py", "pytest"),
        ({"tests/conftest.py": ""}, "tests/sub/a_test.py", "pytest"),
        ({"pytest.ini": ""}, "test_a.py", "pytest"),
        ({"pyproject.toml": "[tool.pytest.ini_options]"}, "test_a.py", "pytest"),
        ({"pyproject.toml": "[project]"}, "test_a.py", "command"),
        ({"tox.ini": "[pytest]"}, "test_a.py", "pytest"),
        ({"setup.cfg": "[tool:pytest]"}, "test_a.py", "pytest"),
        ({"conftest.py": ""}, "a.py", "command"),
        ({"test_a.py": "import pytest\nif __name__ == '__main__': pytest.main()"}, "test_a.py", "pytest"),
        ({"test_a.py": "def test_x(): pass\n"}, "test_a.py", "pytest"),
        ({"test_a.py": "import os\nclass TestX(Base):\n    pass\n"}, "test_a.py", "pytest"),
        ({"test_a.py": "class TestX(Base): ...\nif __name__ == '__main__': main()"}, "test_a.py", "command"),
        ({"test_a.py": "print('import pytest')"}, "test_a.py", "command"),
    ],
)
def test_detection(dirs: JobDirs, files: dict[str, str], test: str, runner: str):
    for name, text in files.items():
        add(dirs, name, text)
    assert detect_runner(dirs.bundle, test) == runner


class EchoRunner(InProcessRunner):
    name: ClassVar[str] = "echo"

    async def run(self, job: RunnerJob, dirs: JobDirs, emit_log: OutputSink) -> RunResult:
        return RunResult(verdict=Verdict.PASSED)


class OtherCommand(CommandRunner):
    name: ClassVar[str] = "other"


class Impostor(EchoRunner):
    name: ClassVar[str] = "pytest"


class Unfinished(Runner):
    name: ClassVar[str] = "unfinished"

    def __init__(self, tools: Toolchain) -> None: ...


class Nameless(InProcessRunner):
    async def run(self, job: RunnerJob, dirs: JobDirs, emit_log: OutputSink) -> RunResult:
        return RunResult(verdict=Verdict.PASSED)


HERE = "tests.unit.agent.test_runners"
BUILT_IN = {"command", "pytest", "appium-pytest", "playwright", "appwright", "wdio", "maestro"}


@pytest.mark.parametrize("name", ["test_it.py", "flow.yaml", "requirements.txt"])
@pytest.mark.parametrize("text", ["\n" * 2**20, "class Test" + "a" * 2**20])
def test_a_file_of_a_megabyte_is_looked_through_once(dirs: JobDirs, name: str, text: str):
    dirs.bundle.mkdir(exist_ok=True)
    (dirs.bundle / "test_it.py").touch()
    (dirs.bundle / name).write_text(text)
    assert detect_runner(dirs.bundle, "test_it.py" if name.endswith("txt") else name) == "command"


def test_plug_ins_join_the_built_in_runners(tmp_path: Path):
    runners = Runners.load(TOOLS, {"QGJOB_RUNNER_PLUGINS": f"{HERE}:EchoRunner, {HERE}:OtherCommand"})
    assert runners.names == {*BUILT_IN, "echo", "other"}
    assert isinstance(runners.in_process("echo"), EchoRunner)
    assert runners.in_process("command") is None
    assert runners.in_process("auto") is None
    assert isinstance(runners.find("other", tmp_path, "t.sh"), Runner)
    assert isinstance(runners.find("auto", tmp_path, "t.sh"), CommandRunner)
    with pytest.raises(
        RunnerError, match="no runner detox; it has appium-pytest, appwright, command, echo, "
    ):
        runners.find("detox", tmp_path, "t.sh")


def test_the_files_of_a_shard_want_the_same_runner(dirs: JobDirs):
    add(dirs, "e2e/playwright.config.ts")
    runners = Runners.load(TOOLS, {})
    with pytest.raises(RunnerError, match=r"e2e/a\.spec\.ts playwright, smoke\.sh command") as caught:
        runners.find("auto", dirs.bundle, "e2e/a.spec.ts", "e2e/b.spec.ts", "smoke.sh")
    assert not caught.value.retryable
    assert runners.find("playwright", dirs.bundle, "e2e/a.spec.ts", "smoke.sh").name == "playwright"
    assert runners.find("auto", dirs.bundle, "e2e/a.spec.ts", "e2e/b.spec.ts").name == "playwright"


def test_the_files_of_a_shard_have_one_configuration(dirs: JobDirs):
    tests = ("a/e2e/x.spec.ts", "a/y.spec.ts", "b/z.spec.ts")
    for name in (*tests, "a/playwright.config.ts", "node_modules/@playwright/test/cli.js"):
        add(dirs, name)
    runner = PlaywrightRunner(TOOLS)
    launch = runner.prepare(replace(job("shard 1 of 1"), tests=tests[:2]), dirs)
    assert launch.cwd == dirs.bundle / "a"
    with pytest.raises(RunnerError, match=r"has a/playwright\.config\.ts, b/z\.spec\.ts has no playwright"):
        runner.prepare(replace(job("shard 1 of 1"), tests=tests), dirs)


@pytest.mark.parametrize(
    ("plugins", "sentence"),
    [
        ("nothing", "wants package.module:Class"),
        ("no.such.module:X", "cannot be loaded"),
        (f"{HERE}:NoSuchClass", "cannot be loaded"),
        (f"{HERE}:HERE", "neither a Runner nor an InProcessRunner"),
        (f"{HERE}:Impostor", "takes the name of another runner: pytest"),
        (f"{HERE}:Unfinished", "Unfinished cannot be loaded: TypeError: .*abstract method"),
        (f"{HERE}:Nameless", "Nameless has no name"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_named(plugins: str, sentence: str):
    with pytest.raises(UsageError, match=sentence):
        Runners.load(TOOLS, {"QGJOB_RUNNER_PLUGINS": plugins})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("class Mine(Runner): pass", "NameError: name 'Runner' is not defined"),
        ("class Mine(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_plug_in_with_a_fault_is_no_bug_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
):
    (tmp_path / "faulty_plugin.py").write_text(f"\n{text}\n")
    monkeypatch.syspath_prepend(tmp_path)
    for load in (
        lambda: Runners.load(TOOLS, {"QGJOB_RUNNER_PLUGINS": "faulty_plugin:Mine"}),
        lambda: find_driver("mine", {"QGJOB_DRIVER_PLUGINS": "faulty_plugin:Mine"}),
    ):
        with pytest.raises(UsageError, match=f"faulty_plugin:Mine cannot be loaded: {sentence}") as caught:
            load()
        assert "line" in (caught.value.hint or "")
