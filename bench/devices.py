"""What an agent with 32 slots costs while nothing is to do, and what a build that is there already costs.

The devices are simulated ones behind the real adb server, in a process of their own that is not counted; the
adb server is counted apart. `BENCH_IDLE_S` (60) is how long is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import psutil

from agent.drivers.adb.driver import AdbDriver
from agent.drivers.base import Build, DriverContext
from bench.system import percentiles, running_system
from qgjob.clock import SystemClock
from tests.support.adbsim import AdbHost
from tests.support.adbsim.apk import make_apk

DEVICES = 32
SETTLE_S = 5.0
SKIPS = 200


def run_devices() -> dict[str, Any]:
    """Idle cost with 32 process slots and with 32 adb devices; skipped installs in ms."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(_run())
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    idle_s = float(os.environ.get("BENCH_IDLE_S", "60"))
    result: dict[str, Any] = {"idle_s": idle_s, "slots": DEVICES}
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as name:
        folder = Path(name)
        async with running_system(folder / "process", agents=1, slots=DEVICES):
            result["process_agent"] = (await _measure(idle_s, agent=_agent()))["agent"]
        async with simulated_phones(DEVICES + 1) as (spare, *serials), AdbHost(folder / "adb") as host:
            environment = {name: value for name, value in host.environment.items() if name != "HOME"}
            os.environ.update(environment)
            arguments = ("--driver", "adb", "--devices", ",".join(serials))
            async with running_system(folder / "adb-up", agents=1, slots=DEVICES, agent_args=arguments):
                measured = await _measure(idle_s, agent=_agent(), adb=_adb_server(host.port))
                result["adb_agent"], result["adb_server"] = measured["agent"], measured["adb"]
            result["skipped_install_ms"] = await _skips(folder, host.port, spare)
    return result


async def _skips(folder: Path, port: int, serial: str) -> dict[str, float]:
    driver = AdbDriver(
        DriverContext(
            folder=folder / "skips", clock=SystemClock(), devices=(serial,), options={"port": str(port)}
        )
    )
    (presence,) = await driver.discover()
    device = presence.device
    await device.open()
    apk = make_apk(folder / "shop.apk", ballast_bytes=20 * 2**20)
    digest = hashlib.sha256(apk.read_bytes()).hexdigest()
    build = Build(org_id="bench", app_version_id="v1", path=apk, sha256=digest)
    first = await device.install(build, timeout_s=60)
    assert first.ok, first.detail
    times: list[float] = []
    for _ in range(SKIPS):
        began = time.perf_counter()
        assert (await device.install(build, timeout_s=60)).skipped
        times.append(1000 * (time.perf_counter() - began))
    await driver.close()
    return {name: round(value, 2) for name, value in percentiles(times).items()}


async def _measure(seconds: float, **processes: psutil.Process) -> dict[str, dict[str, float]]:
    """CPU as a share of one core, and memory at the end, of processes with all their children."""
    await asyncio.sleep(SETTLE_S)
    before = {name: _cpu_s(process) for name, process in processes.items()}
    began = time.monotonic()
    await asyncio.sleep(seconds)
    passed = time.monotonic() - began
    return {
        name: {
            "cpu_percent": round(100 * (_cpu_s(process) - before[name]) / passed, 2),
            "rss_mib": round(sum(p.memory_info().rss for p in _family(process)) / 2**20, 1),
        }
        for name, process in processes.items()
    }


def _family(process: psutil.Process) -> Iterator[psutil.Process]:
    yield process
    yield from process.children(recursive=True)


def _cpu_s(process: psutil.Process) -> float:
    return sum(p.cpu_times().user + p.cpu_times().system for p in _family(process))


def _agent() -> psutil.Process:
    for process in psutil.Process().children(recursive=True):
        words = process.cmdline()
        if "agent" in words[words.index("-m") :] if "-m" in words else False:
            return process
    raise RuntimeError("no agent runs")


def _adb_server(port: int) -> psutil.Process:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if f"tcp:{port}" in " ".join(process.cmdline()) and "fork-server" in process.cmdline():
                return process
    raise RuntimeError("no adb server runs")


@contextlib.asynccontextmanager
async def simulated_phones(count: int) -> AsyncGenerator[list[str]]:
    """That many phones in a process of their own; yields their serials."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.adbsim", "--count", str(count)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().split()
    finally:
        process.terminate()
        await process.wait()
