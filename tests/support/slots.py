"""A slot of an agent within the test's own process."""

from __future__ import annotations

import os
from pathlib import Path

from agent.attempts.attempt import AttemptRunner
from agent.attempts.identity import Identity
from agent.config.settings import JobLimits
from agent.drivers.marker import MarkerDevice, SlotSpec
from agent.npm.packages import NpmPackages, NpmSettings
from agent.runners.kit import Kit
from agent.runners.registry import Runners
from agent.runners.toolchain import Toolchain
from agent.storage.files import JobFiles
from bench.runners import PLUGINS
from qgjob.bus.connect import Bus
from qgjob.clock import SystemClock
from tests.support import faulty_runners


async def runner_in(bus: Bus, folder: Path, work: Path, limits: JobLimits | None = None) -> AttemptRunner:
    """Runs attempts on a slot without a device; `work` is where they have their folders."""
    slot = SlotSpec(name="s0", folder=folder / "s0", labels=frozenset({"none"}), install_seconds=0.0)
    device = MarkerDevice(slot, SystemClock())
    await device.open()
    environment = {**os.environ, "QGJOB_RUNNER_PLUGINS": f"{PLUGINS},{faulty_runners.PLUGINS}"}
    tools = Toolchain.discover(environment)
    files = JobFiles(bus, folder / "cache", needs_build=False)
    files.open()
    packages = NpmPackages(
        folder / "npm", tools, NpmSettings.from_environ(environment, tools), mark="test-npm:"
    )
    return AttemptRunner(
        bus=bus,
        who=Identity("a", "s0", "a-s0"),
        driver="none",
        device=device,
        files=files,
        runners=Runners.load(tools, environment),
        kit=Kit(tools, packages, folder / "appium", "test-appium:"),
        work_dir=work,
        limits=limits,
    )
