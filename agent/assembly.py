"""Put an agent together from its settings: connection, devices, caches, runners, slots."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from agent.attempts.attempt import AttemptRunner
from agent.attempts.identity import Identity
from agent.drivers.base import Device, Driver, DriverContext
from agent.drivers.registry import make_driver
from agent.npm.packages import NpmPackages, NpmSettings
from agent.runners.kit import Kit
from agent.runners.registry import Runners
from agent.runners.tool_watch import ToolWatch
from agent.runners.toolchain import Toolchain
from agent.service import Agent, AgentOptions, wait_for_streams
from agent.slots.roster import DeviceRoster
from agent.storage.files import JobFiles
from agent.storage.removal import Trash
from agent.storage.short_tmp import sweep_short_tmps
from agent.supervision.sweep import agent_mark, slot_mark, sweep_leftovers
from bus_schemas.events import build_messages_of_jobs
from qgjob.bus.connect import open_bus
from qgjob.clock import SystemClock
from qgjob.errors import QgjobError, RefusedError, UsageError

if TYPE_CHECKING:
    from agent.config.settings import AgentSettings

log = logging.getLogger(__name__)

_DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})


async def run_agent(
    settings: AgentSettings,
    *,
    stop: asyncio.Event,
    ready: asyncio.Event,
    hurry: asyncio.Event | None = None,
) -> None:
    """Run an agent until `stop` is set; with `hurry` running jobs are then handed back at once.

    Raises `RefusedError` when another agent has the folder or the name, `UsageError` when the folder cannot
    be used (`QgjobError` where the disk is to blame), and what a driver raises when this machine cannot have
    its devices.
    """
    folder = settings.data_dir
    with _owned(folder):
        mark = agent_mark(settings.name, folder)
        leftovers = await asyncio.to_thread(sweep_leftovers, mark)
        if leftovers:
            log.warning("%d processes that a former agent left behind were ended", leftovers)
        trash = Trash(folder / "trash")
        await asyncio.to_thread(trash.take, folder / "work")  # left behind by an agent that was killed
        await asyncio.to_thread(sweep_short_tmps)
        tools = await asyncio.to_thread(Toolchain.discover, os.environ)
        watch = ToolWatch(tools, os.environ, SystemClock())
        runners = Runners.load(tools, os.environ)
        driver = _driver(settings, tools, mark)  # before the server is waited for: it may not exist
        build_messages_of_jobs()
        async with open_bus(settings.server) as bus:
            await wait_for_streams(bus, settings.name)
            files = JobFiles(
                bus, folder / "cache", needs_build=driver.needs_build, limit_bytes=settings.cache_bytes
            )
            await asyncio.to_thread(files.open, trash.take)
            await asyncio.to_thread(trash.make_room)
            packages = NpmPackages(
                folder / "cache" / "npm", tools, NpmSettings.from_environ(os.environ, tools), mark=mark
            )
            await asyncio.to_thread(packages.open)

            def make_runner(device: Device) -> AttemptRunner:
                own_name = device.name if driver.dynamic else f"{settings.name}-{device.name}"
                return AttemptRunner(
                    bus=bus,
                    who=Identity(settings.name, device.name, own_name),
                    driver=settings.driver,
                    device=device,
                    files=files,
                    runners=runners,
                    kit=Kit(
                        tools,
                        packages,
                        folder / "appium" / device.name,
                        f"{mark}#appium:{device.name}:",
                        watch,
                    ),
                    work_dir=folder / "work" / device.name,
                    mark=slot_mark(mark, device.name),
                    secrets=settings.secrets,
                    limits=settings.limits,
                )

            options_of_agent = AgentOptions(
                settings.name, folder, settings.grace_s, tuple(sorted(runners.names))
            )
            agent = Agent(bus, options_of_agent, DeviceRoster(driver, make_runner, settings.device_labels))
            try:
                await agent.run(stop, ready, hurry)
            finally:
                await packages.close()


def _driver(settings: AgentSettings, tools: Toolchain, mark: str) -> Driver:
    return make_driver(
        settings.driver,
        DriverContext(
            folder=settings.data_dir,
            clock=SystemClock(),
            labels=frozenset(settings.labels),
            device_labels=settings.device_labels,
            devices=settings.devices,
            options=settings.driver_options,
            slots=settings.slots,
            install_seconds=settings.install_seconds,
            environment=tools.environment,
            agent_mark=mark,
        ),
        os.environ,
    )


@contextlib.contextmanager
def _owned(folder: Path) -> Generator[None]:
    """Two agents in one folder would end each other's jobs."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        # systemd does not start again what has a wrong option, and a disk may be well again.
        kind = QgjobError if error.errno in _DISK_FAULTS else UsageError
        raise kind(
            f"The data folder {folder} cannot be used: {error.strerror}.",
            hint="Give another one with --data-dir.",
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(
                f"Another agent works in {folder}.",
                hint="Give this one another --data-dir, or stop the other.",
            ) from None
        yield
