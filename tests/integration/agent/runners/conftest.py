"""A slot's part that runs tests: kit, runners and supervisor, without bus and slot."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.drivers.base import RunningApp
from agent.launch import JobDirs, OutputSink
from agent.npm.packages import NpmPackages, NpmSettings
from agent.reports.files import file_results
from agent.runners.base import Runner, RunnerJob, RunResult
from agent.runners.kit import Kit
from agent.runners.registry import Runners
from agent.runners.toolchain import AppiumTool, Toolchain
from agent.supervision.job_supervisor import JobSupervisor
from agent.supervision.sweep import sweep_leftovers
from bus_schemas.events import FileResult
from tests.integration.agent.conftest import Output

PHONE = RunningApp(
    package="com.acme.shop",
    env={
        "QGJOB_PLATFORM": "android",
        "QGJOB_UDID": "lab-1",
        "QGJOB_APPIUM_CAPS": json.dumps({"appium:automationName": "Lab"}),
    },
)
"""A device for the Appium driver of tests/node: no phone, but all else is real."""


@dataclass(slots=True)
class Bench:
    """Runs tests as a slot does."""

    tools: Toolchain
    kit: Kit
    supervisor: JobSupervisor
    dirs: JobDirs
    app: RunningApp = field(default_factory=RunningApp)
    said: list[str] = field(default_factory=list[str])
    output: Output = field(default_factory=Output)

    def add(self, files: Mapping[str, str]) -> None:
        """Put files into the bundle."""
        for name, text in files.items():
            path = self.dirs.bundle / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    async def run(
        self,
        test: str,
        *argv: str,
        runner: str = "auto",
        env: Mapping[str, str] | None = None,
        sink: OutputSink | None = None,
        shard: tuple[str, ...] = (),
    ) -> RunResult:
        """Run one test, or the files of a shard, to its result; every process of it is gone then."""
        files = shard or (test,)
        found = Runners.load(self.tools, {}).find(runner, self.dirs.bundle, *files)
        assert isinstance(found, Runner)
        labels = frozenset({"android"} if "QGJOB_PLATFORM" in self.app.env else ())
        async with self.kit.equipped(
            found, self.dirs.bundle, files[0], org_id="acme", labels=labels, say=self.said.append
        ):
            appium = await self.kit.appium(found, self.app)
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
                env=env or {},
                app_package=self.app.package,
                device_env=self.app.env,
                appium=appium,
            )
            launch = found.prepare(job, self.dirs)
            exit_ = await self.supervisor.run(launch, sink or self.output)
            assert exit_.survivors == 0
            await self.kit.settle()
            return found.collect(exit_, self.dirs)

    async def run_shard(self, files: Iterable[str]) -> tuple[RunResult, dict[str, FileResult]]:
        """Run these files of the bundle as one shard, to its result and that of each file."""
        shard = tuple(files)
        result = await self.run("shard 1 of 2", shard=shard)
        found, left_out = file_results(result.cases, shard)
        assert left_out == 0
        return result, {file.file: file for file in found}

    def text(self) -> str:
        """What the test wrote, for people who look at a failure."""
        return b"".join(data for _, data in self.output.pieces).decode("utf-8", "replace")


@pytest.fixture(scope="session")
def node_modules(playwright_modules: Path) -> Path:
    """The packages of tests/node, all of them."""
    for name in ("appium", "appwright", "@wdio/cli", "appium-lab-driver"):
        if not (playwright_modules / name).exists():
            text = f"the npm package {name} is missing: run scripts/provision.py (or `make test`, which does)"
            if os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}:
                pytest.fail(text)
            pytest.skip(text)
    return playwright_modules


@pytest.fixture(scope="session")
def tools(node: Path, node_modules: Path) -> Toolchain:
    found = Toolchain.discover(
        {**os.environ, "QGJOB_AGENT_NODE": str(node), "QGJOB_AGENT_NODE_MODULES": str(node_modules)}
    )
    assert found.pytest_python == sys.executable or found.pytest_python is not None
    assert found.appium == AppiumTool(main=node_modules / "appium/index.js", home=node_modules.parent)
    return found


@pytest.fixture
async def bench(
    tmp_path: Path, dirs: JobDirs, tools: Toolchain, supervisor: JobSupervisor, mark: str
) -> AsyncIterator[Bench]:
    packages = NpmPackages(tmp_path / "npm", tools, NpmSettings.from_environ(os.environ, tools), mark=mark)
    kit = Kit(tools, packages, tmp_path / "appium", f"{mark}appium:")
    bench = Bench(tools, kit, supervisor, dirs)
    yield bench
    await bench.kit.close()
    await packages.close()
    assert sweep_leftovers(f"{mark}appium:") == 0, "Appium left processes behind"
