"""Provides what runners need beside the bundle: npm packages, and an Appium server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.appium.capabilities import device_capabilities, job_capabilities
from agent.appium.server import AppiumServer, AppiumSetup
from agent.drivers.base import RunningApp
from agent.errors import RunnerError
from agent.npm.packages import NpmPackages
from agent.runners.base import AnyRunner, AppiumSession, Need, Runner
from agent.runners.node import node_of
from agent.runners.tool_watch import ToolWatch
from agent.runners.toolchain import AppiumTool, Toolchain, missing_tool

_SDK = frozenset({"ANDROID_HOME", "ANDROID_SDK_ROOT"})
_REACHED_BY_APPIUM = frozenset({"android", "ios"})


@dataclass(slots=True)
class Kit:
    """The kit of one slot, which makes its calls one at a time.

    `folder` and `mark` are for its Appium server: where it may write, and whose its processes are.
    """

    tools: Toolchain
    packages: NpmPackages
    folder: Path
    mark: str
    watch: ToolWatch | None = None
    _appium: AppiumServer | None = None

    @contextlib.asynccontextmanager
    async def equipped(
        self,
        runner: AnyRunner,
        bundle: Path,
        test: str,
        *,
        org_id: str,
        labels: frozenset[str],
        say: Callable[[str], None],
    ) -> AsyncGenerator[None]:
        """Within the block the runner has its packages, and has said that it can run the test.

        Raises `JobError` when it cannot, before anything was done to the device.
        """
        if not isinstance(runner, Runner):
            yield
            return
        if self.watch is not None:
            await self.watch.renew()
        wants = runner.appium is Need.REQUIRED or (
            runner.appium is Need.OFFERED and labels & _REACHED_BY_APPIUM
        )
        if wants:
            self._appium_tool()
        if not runner.npm:
            runner.check(bundle, test)
            yield
            return
        async with self.packages.provided(bundle, test, org_id, say):
            runner.check(bundle, test)
            yield

    async def appium(self, runner: AnyRunner, app: RunningApp) -> AppiumSession | None:
        """The slot's Appium server, if the runner wants it and it can reach the device.

        Raises `RunnerError` when the runner cannot do without, `JobError` when the server does not start.
        """
        if not isinstance(runner, Runner) or runner.appium is Need.NO:
            return None
        capabilities = device_capabilities(app)
        if capabilities is None:
            if runner.appium is Need.OFFERED:
                return None
            raise RunnerError(
                f"{runner.name} needs a device that Appium can reach, and this slot has none",
                reason="no_device",
                retryable=True,
                hint="Ask for one with --target or --require; a test without a device: --runner pytest.",
            )
        if _wants_sdk(capabilities) and not self.tools.environment.keys() & _SDK:
            raise RunnerError(
                "this machine has no ANDROID_HOME, without which Appium's UiAutomator2 opens no session",
                reason="tool_missing",
                retryable=True,
                hint="Start the agent with ANDROID_HOME naming the SDK: the folder with platform-tools/adb.",
            )
        if self._appium is None:
            tool = self._appium_tool()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._appium = AppiumServer(
                AppiumSetup(
                    tool=tool,
                    node=node_of(self.tools),
                    environment=self.tools.environment,
                    folder=self.folder,
                    mark=self.mark,
                )
            )
        url = await self._appium.ready(capabilities)
        return AppiumSession(url=url, capabilities=job_capabilities(capabilities, app))

    async def settle(self) -> None:
        """After each job: sessions that it left open are closed. Never raises."""
        if self._appium is not None:
            await self._appium.settle()

    async def close(self) -> None:
        """End the Appium server."""
        if self._appium is not None:
            await self._appium.close()

    def _appium_tool(self) -> AppiumTool:
        node_of(self.tools)
        if self.tools.appium is None:
            raise missing_tool(
                "this machine has no Appium",
                "Install it on the lab machine (npm install -g appium, then appium driver install …), "
                "or name its folder in QGJOB_AGENT_APPIUM.",
            )
        return self.tools.appium


def _wants_sdk(capabilities: Mapping[str, Any]) -> bool:
    return str(capabilities.get("appium:automationName", "")).lower() == "uiautomator2"
