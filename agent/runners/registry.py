"""Looks runners up by name: the built-in ones, and plug-ins.

A plug-in (`agent/plugins.py`) is a `Runner` or `InProcessRunner` class. It is called with the `Toolchain`
when it is a `Runner`, without arguments when it runs in the agent. It may not take another runner's name.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.errors import RunnerError
from agent.plugins import Plugins
from agent.runners.appwright import AppwrightRunner
from agent.runners.base import AnyRunner, InProcessRunner, Runner
from agent.runners.command import CommandRunner
from agent.runners.detect import detect_runner
from agent.runners.maestro import MaestroRunner
from agent.runners.playwright import PlaywrightRunner
from agent.runners.pytest_runner import AppiumPytestRunner, PytestRunner
from agent.runners.toolchain import Toolchain
from agent.runners.wdio import WdioRunner
from qgjob.errors import UsageError

PLUGINS = Plugins("runner", "qgjob.runners", "QGJOB_RUNNER_PLUGINS")
AUTO = "auto"

_BUILT_IN = (
    CommandRunner,
    PytestRunner,
    AppiumPytestRunner,
    PlaywrightRunner,
    AppwrightRunner,
    WdioRunner,
    MaestroRunner,
)


class Runners:
    """Every runner of this agent, by name."""

    def __init__(self, runners: Mapping[str, AnyRunner]) -> None:
        self._runners = dict(runners)

    @classmethod
    def load(cls, tools: Toolchain, environ: Mapping[str, str]) -> Runners:
        """The built-in runners and all plug-ins. Raises `UsageError` for a plug-in that cannot be used."""
        runners: dict[str, AnyRunner] = {kind.name: kind(tools) for kind in _BUILT_IN}
        for where, plugin in PLUGINS.discover(environ):
            runner = PLUGINS.instantiate(
                where, lambda where=where, plugin=plugin: _named(where, plugin, tools)
            )
            if runner.name in runners or runner.name == AUTO:
                raise UsageError(
                    f"the runner plug-in {where} takes the name of another runner: {runner.name}"
                )
            runners[runner.name] = runner
        return cls(runners)

    @property
    def names(self) -> frozenset[str]:
        """What a job may ask for, besides `auto`."""
        return frozenset(self._runners)

    def find(self, name: str, bundle: Path, *tests: str) -> AnyRunner:
        """The runner of that name; for `auto` the one that `tests`, unpacked in `bundle`, look made for.

        Raises `RunnerError` when this agent has none of that name, or the files of a shard are not all
        made for the same.
        """
        if name == AUTO:
            name = detect_runner(bundle, tests[0])
            for test in tests[1:]:
                if (other := detect_runner(bundle, test)) != name:
                    raise RunnerError(
                        f"the files of this shard want different runners: {tests[0]} {name}, {test} {other}",
                        reason="not_runnable",
                        retryable=False,
                        hint="Name one with --runner, or submit the files of each runner by themselves.",
                    )
        if name not in self._runners:
            raise RunnerError(
                f"this agent has no runner {name}; it has {', '.join(sorted(self._runners))}",
                reason="runner_missing",
                retryable=True,
            )
        return self._runners[name]

    def in_process(self, name: str) -> InProcessRunner | None:
        """The runner of that name, if it runs within the agent."""
        runner = self._runners.get(name)
        return runner if isinstance(runner, InProcessRunner) else None


def _named(where: str, plugin: Any, tools: Toolchain) -> AnyRunner:
    runner = _instance(where, plugin, tools)
    if not isinstance(getattr(runner, "name", None), str):
        raise UsageError(f"the runner plug-in {where} has no name", hint='It wants a line `name = "…"`.')
    return runner


def _instance(where: str, plugin: Any, tools: Toolchain) -> AnyRunner:
    if inspect.isclass(plugin) and issubclass(plugin, InProcessRunner):
        return plugin()
    if inspect.isclass(plugin) and issubclass(plugin, Runner):
        return plugin(tools)  # type: ignore[call-arg]  # the contract of plug-ins, not of the base class
    raise UsageError(f"the runner plug-in {where} is neither a Runner nor an InProcessRunner class")
