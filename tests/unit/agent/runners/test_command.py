"""What runner `command` makes of a job, without running it."""

from __future__ import annotations

import signal

import pytest

from agent.errors import RunnerError
from agent.launch import JobDirs
from agent.runners.base import RunResult, Verdict
from agent.runners.command import CommandRunner
from agent.runners.toolchain import Toolchain
from tests.support.runnerjobs import TOOLS, add, ended, job


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
    assert result.reason == "1 failed, 1 passed"
    # What the cases do not explain is said as it was.
    assert CommandRunner(TOOLS).collect(ended(None, signal.SIGSEGV), dirs).reason == "killed by SIGSEGV"
    dirs.junit.write_text('<testsuite><testcase name="a"/></testsuite>')
    assert CommandRunner(TOOLS).collect(ended(1), dirs).reason == "exit code 1"
