"""Runner `appwright`: AppWright's tests, unmodified, on the slot's own Appium server and installed build.

AppWright would install an Appium driver, start a server on a fixed port and reinstall the app for every
test. A preload (`preload/appwright.cjs`) gives its local providers the agent's session instead; a project
whose provider is a cloud is left as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from agent.launch import Exit, JobDirs, LaunchSpec
from agent.runners.base import Need, Runner, RunnerJob, RunResult
from agent.runners.node import common_nearest, find_in_packages, node_of
from agent.runners.playwright import playwright_launch, playwright_result
from agent.runners.testfile import find_test, find_tests
from agent.runners.toolchain import Toolchain

CONFIG_NAMES = tuple(f"appwright.config.{ending}" for ending in ("ts", "js", "mts", "mjs", "cts", "cjs"))
_PACKAGE = "appwright/package.json"
_CLI = "@playwright/test/cli.js"
_PRELOAD = Path(__file__).parent / "preload" / "appwright.cjs"


class AppwrightRunner(Runner):
    """Runs test files with Playwright's test runner, as AppWright does, from the nearest appwright.config.

    On a slot with a device, the project is the first one of the device's platform, unless ARGV names one
    with `--project`. Without a device, ARGV has to name a project of a cloud's. One worker: one device.
    """

    name: ClassVar[str] = "appwright"
    npm: ClassVar[bool] = True
    appium: ClassVar[Need] = Need.OFFERED

    def __init__(self, tools: Toolchain) -> None:
        self._tools = tools

    def check(self, bundle: Path, test: str) -> None:
        """See `Runner.check`."""
        self._cli(bundle, find_test(bundle, test))

    def prepare(self, job: RunnerJob, dirs: JobDirs) -> LaunchSpec:
        """See `Runner.prepare`."""
        tests = find_tests(dirs.bundle, job.files)
        cli = self._cli(dirs.bundle, tests[0])
        config = common_nearest(dirs.bundle, tests, CONFIG_NAMES)
        options = ("--workers=1", *((f"--config={config}",) if config else ()))
        launch = playwright_launch(
            job,
            dirs,
            self._tools,
            cli=cli,
            tests=tests,
            cwd=config.parent if config else dirs.bundle,
            options=options,
        )
        if job.appium is None:
            return launch
        env = {
            **launch.env,
            "NODE_OPTIONS": f"{launch.env.get('NODE_OPTIONS', '')} --require {_quoted(_PRELOAD)}".strip(),
        }
        return LaunchSpec(argv=launch.argv, env=env, cwd=launch.cwd, reports=launch.reports)

    def collect(self, exit_: Exit, dirs: JobDirs) -> RunResult:
        """See `Runner.collect`."""
        return playwright_result(exit_, dirs, self.name)

    def _cli(self, bundle: Path, test: Path) -> Path:
        """The test runner that AppWright itself loads: two of them in one process refuse to work."""
        node_of(self._tools)
        appwright = find_in_packages(bundle, test, self._tools, _PACKAGE)
        for folder in appwright.parents:
            if (cli := folder / "node_modules" / _CLI).is_file():
                return cli.resolve()
        return find_in_packages(bundle, test, self._tools, _CLI)


def _quoted(path: Path) -> str:
    """A path as NODE_OPTIONS takes it, which splits at blanks."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
