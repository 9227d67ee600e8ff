"""What the command line costs where it is used most: listing a full lab, and waiting for a long run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.system import installed_env, percentiles, running_system
from bus_schemas.queries import ListAnswer, ListQuery
from bus_schemas.subjects import query
from qgjob.bus.connect import Bus
from qgjob.errors import QgjobError
from qgjob.local.system import LocalSystem
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

LISTED: Final = 100_000
_RUN: Final = 10_000
_SAMPLES: Final = 40

JOBS: Final = 500
LASTS_S: Final = 60.0
_SLOTS: Final = 8
_QGJOB: Final = str(Path(sys.executable).with_name("qgjob"))


def run_listing() -> dict[str, Any]:
    """Milliseconds of `qgjob list --limit 100`, whole processes, with 100,000 jobs in the projection."""
    return asyncio.run(_listing())


async def _listing() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        async with running_system(Path(folder), agents=1, slots=1) as (system, bus):
            # Of a build with a label that no slot has: they wait, as most of a long list does.
            for number in range(LISTED // _RUN):
                run = planned(_RUN, runner="noop", app=f"v{number}", requires=("none",))
                await submit(bus, run)
            await wait_for(lambda: _listed(bus), 240, f"{LISTED} listed jobs")
            env = installed_env(Path(folder) / "compiled")
            took = [await asyncio.to_thread(_timed, system, env) for _ in range(_SAMPLES + 1)]
    return {name: round(value * 1000) for name, value in percentiles(took[1:]).items()}


async def _listed(bus: Bus) -> bool:
    with contextlib.suppress(QgjobError):
        answer = await bus.requests.request(query("list"), ListQuery(limit=1).encode(), timeout=2)
        return (ListAnswer.decode(answer.data).total or 0) >= LISTED
    return False


def _timed(system: LocalSystem, env: Mapping[str, str]) -> float:
    began = time.perf_counter()
    argv = [_QGJOB, "--server", system.server, "list", "--limit", "100"]
    done = subprocess.run(argv, check=True, capture_output=True, env=env)
    took = time.perf_counter() - began
    assert len(done.stdout.splitlines()) >= 100
    return took


def run_waiting() -> dict[str, Any]:
    """Seconds of CPU of `submit --wait` on 500 jobs that take a minute, and what each idle minute adds.

    Both as in CI (plain lines) and on a terminal (drawn). What a run of ten minutes costs is the sum of the
    events' cost, which are as many, and nine more minutes.
    """
    return asyncio.run(_waiting())


async def _waiting() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        root = Path(folder)
        (root / "tests").mkdir()
        for number in range(JOBS):
            (root / "tests" / f"t{number:03d}.py").touch()
        async with running_system(root / "data", agents=1, slots=_SLOTS) as (system, _):
            figures: dict[str, Any] = {}
            for terminal in (False, True):
                each = LASTS_S * _SLOTS / JOBS
                busy, lasted = await asyncio.to_thread(_waited, system, root, "tests/*.py", each, terminal)
                idle, idle_s = await asyncio.to_thread(
                    _waited, system, root, "tests/t000.py", LASTS_S, terminal
                )
                start, _ = await asyncio.to_thread(_waited, system, root, "tests/t000.py", 0.0, terminal)
                figures["terminal" if terminal else "plain"] = {
                    "lasted_s": round(lasted, 1),
                    "cpu_s": round(busy, 2),
                    "idle_minute_cpu_s": round((idle - start) * 60 / idle_s, 2),
                    "ten_minutes_cpu_s": round(busy + (idle - start) * (600 - lasted) / idle_s, 2),
                }
    return figures


def _waited(
    system: LocalSystem, root: Path, tests: str, sleep_s: float, terminal: bool
) -> tuple[float, float]:
    """CPU and wall seconds of one `submit --wait`."""
    began = time.perf_counter()
    argv = [_QGJOB, "--server", system.server, "submit", "--org-id", "bench", "--app-version-id", "v1"]
    argv += ["--runner", "sleep", "--test", tests, "--wait", "--", str(sleep_s)]
    own_end, child_end = pty.openpty() if terminal else os.pipe()
    reader = threading.Thread(target=_drain, args=(own_end,))
    reader.start()
    child = subprocess.Popen(argv, cwd=root, stdout=child_end, stderr=child_end, stdin=subprocess.DEVNULL)
    os.close(child_end)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    if child.returncode:
        raise RuntimeError(f"submit --wait ended with {child.returncode}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def _drain(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a terminal ends with an error
        while os.read(descriptor, 65536):
            pass
    os.close(descriptor)
