"""What runner `pytest` makes of a job, without running it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from agent.errors import RunnerError
from agent.launch import JobDirs
from agent.npm.packages import NpmPackages, NpmSettings
from agent.runners.base import Verdict
from agent.runners.kit import Kit
from agent.runners.pytest_runner import PytestRunner
from agent.runners.tool_watch import AGAIN_S, ToolWatch
from agent.runners.toolchain import Toolchain
from tests.support.clock import ManualClock
from tests.support.runnerjobs import TOOLS, add, ended, job


def test_pytest_without_a_python_that_has_it(dirs: JobDirs):
    add(dirs, "test_a.py")
    with pytest.raises(RunnerError, match="no Python on this machine has pytest"):
        PytestRunner(Toolchain(python="/py")).prepare(job("test_a.py"), dirs)


async def test_a_pytest_that_is_installed_or_removed_while_the_agent_runs_is_noticed(
    dirs: JobDirs, tmp_path: Path
):
    add(dirs, "test_a.py")
    python = tmp_path / "bin" / "python3"

    def install(packages: str) -> None:
        python.parent.mkdir(exist_ok=True)
        python.write_text(f"#!/bin/sh\necho {python}\necho {packages}\n")
        python.chmod(0o755)

    install("")
    environ, clock = {"QGJOB_AGENT_PYTHON": str(python)}, ManualClock()
    tools = Toolchain.discover(environ)
    packages = NpmPackages(tmp_path / "npm", tools, NpmSettings(environment={}), mark="test:")
    kit = Kit(tools, packages, tmp_path / "appium", "test:", ToolWatch(tools, environ, clock))
    runner = PytestRunner(tools)

    async def python_of_the_next_job() -> str:
        async with kit.equipped(runner, dirs.bundle, "test_a.py", org_id="o", labels=frozenset(), say=print):
            return runner.prepare(job("test_a.py"), dirs).argv[0]

    assert await python_of_the_next_job() == sys.executable, "which has pytest for these tests"
    install("pytest")
    assert await python_of_the_next_job() == sys.executable, "it was looked a moment ago"
    clock.advance(AGAIN_S)
    assert await python_of_the_next_job() == str(python)
    install("")
    clock.advance(AGAIN_S)
    assert await python_of_the_next_job() == sys.executable


@pytest.mark.parametrize(
    ("code", "cases", "verdict"),
    [
        (0, 1, Verdict.PASSED),
        (0, None, Verdict.FAILED),
        (1, 1, Verdict.FAILED),
        (1, None, Verdict.INFRASTRUCTURE),
        (2, 1, Verdict.FAILED),
        (2, None, Verdict.INFRASTRUCTURE),
        (3, 0, Verdict.INFRASTRUCTURE),
        (4, None, Verdict.FAILED),
        (5, 0, Verdict.FAILED),
        (7, None, Verdict.FAILED),
        (7, 1, Verdict.FAILED),
        *((code, None, Verdict.INFRASTRUCTURE) for code in (125, 126, 127, 137, 143)),
        (139, None, Verdict.FAILED),
        (-signal.SIGKILL, None, Verdict.INFRASTRUCTURE),
        (-signal.SIGSEGV, None, Verdict.FAILED),
    ],
)
def test_pytests_exit_codes(dirs: JobDirs, code: int, cases: int | None, verdict: Verdict):
    if cases is not None:
        inside = '<testcase name="a"><failure/></testcase>' * cases
        dirs.junit.write_text(f"<testsuite>{inside}</testsuite>")
    result = PytestRunner(TOOLS).collect(ended(code) if code >= 0 else ended(None, -code), dirs)
    assert result.verdict == verdict
    assert (result.reason is None) == (verdict is Verdict.PASSED)


def test_pytest_that_crashed_says_so(dirs: JobDirs):
    result = PytestRunner(TOOLS).collect(ended(None, signal.SIGSEGV), dirs)
    assert result.reason == "pytest was killed by SIGSEGV and wrote no report"


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
        (
            "import file mismatch:\nimported module 'test_a' has this __file__ attribute:\nHINT: use a unique basename",
            "tests.test_a could not be collected: HINT: use a unique basename",
        ),
        ("\n", "tests.test_a could not be collected: collection failure"),
    ],
)
def test_pytest_says_why_a_file_could_not_be_imported(dirs: JobDirs, raised: str, reason: str):
    text = "import acme\n" * (1000 if raised.startswith("E ") else 0) + raised
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
