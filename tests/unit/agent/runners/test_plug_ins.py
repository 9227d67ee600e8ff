"""Runners and drivers that a lab adds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest

from agent.drivers.registry import find_driver
from agent.errors import RunnerError
from agent.launch import JobDirs, OutputSink
from agent.runners.base import InProcessRunner, Runner, RunnerJob, RunResult, Verdict
from agent.runners.command import CommandRunner
from agent.runners.registry import Runners
from agent.runners.toolchain import Toolchain
from qgjob.errors import UsageError
from tests.support.runnerjobs import TOOLS


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


HERE = __name__
BUILT_IN = {"command", "pytest", "appium-pytest", "playwright", "appwright", "wdio", "maestro"}


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
        told = f"{caught.value.message} {caught.value.hint}"
        assert re.search(r"faulty_plugin\.py, line 2\b", told), told
        assert "importlib" not in told
