"""The dashboard under full load in a real terminal: what it costs, and how soon it answers a key.

`python -m bench dashboard`; minutes by QGJOB_BENCH_MINUTES (10). The load comes from another
process over a real nats-server (`bench.tui_generator`); the dashboard is `qgjob tui` in a 200x60 pty.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.system import percentiles
from bench.tui_generator import LOG_JOB
from tests.support.servers import NatsServer
from tests.support.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
SIZE = (200, 60)
STARTS = 5
FILTERS = 6
KEY_EVERY_S = 0.5
WARM_UP_S = 8.0
_ALL = re.compile(rb"1[0-9]{2},[0-9]{3}")


async def until(condition: Callable[[], bool], timeout_s: float, what: str) -> float:
    """Wait for what comes through the pty; returns how long it took, in milliseconds."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > timeout_s:
            raise TimeoutError(f"no {what} in {timeout_s} s")
        await asyncio.sleep(0.001)
    return (time.perf_counter() - began) * 1000


async def answered(terminal: Terminal, keys: str, seen: str) -> float:
    """Milliseconds from writing keys to the pty until a text that only they bring was drawn."""
    terminal.raw = b""
    wanted = re.compile(seen.encode())
    terminal.press(keys)
    try:
        return await until(lambda: wanted.search(terminal.raw) is not None, 10, f"{seen!r} after {keys!r}")
    except TimeoutError as error:
        error.add_note(f"what came: {terminal.text[-2000:]}")
        raise


async def started(
    terminal: Terminal, command: list[str], folder: Path, env: dict[str, str], *, keep: bool = False
) -> tuple[float, float]:
    """Start the dashboard: milliseconds until its first picture, and until the first job stands in it."""
    terminal.start(command, cwd=folder, env=env)
    try:
        paint = await until(lambda: b"Queue" in terminal.raw, 30, "first paint")
        return paint, paint + await until(lambda: b"bench/suite" in terminal.raw, 30, "row")
    finally:
        if not keep:
            terminal.close()


class Meter:
    """CPU time and memory of the dashboard, from one moment on."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._sizes: list[tuple[float, float]] = []
        self.restart()

    def restart(self) -> None:
        """Measure the CPU time from now on."""
        self._cpu = sum(self._process.cpu_times()[:2])
        self._began = time.monotonic()

    def sample(self) -> None:
        """Note the size of the moment."""
        self._sizes.append((time.monotonic() / 60, self._process.memory_info().rss / 2**20))

    @property
    def cpu_percent(self) -> float:
        """CPU time since `restart`, of one core."""
        spent = sum(self._process.cpu_times()[:2]) - self._cpu
        return round(100 * spent / (time.monotonic() - self._began), 1)

    @property
    def largest_mib(self) -> float:
        """The largest size seen."""
        return round(max(size for _, size in self._sizes), 1)

    @property
    def mib_each_minute(self) -> list[float]:
        """The first size seen in each minute since the first, and the last of all."""
        first = self._sizes[0][0]
        each = {int(t - first): s for t, s in reversed(self._sizes)}
        return [round(each[minute], 1) for minute in sorted(each)] + [round(self._sizes[-1][1], 1)]

    @property
    def growth_mib_per_minute(self) -> float:
        """The last size less the first, over the time between them."""
        (began, first), (ended, last) = self._sizes[0], self._sizes[-1]
        return round((last - first) / (ended - began), 2) if ended > began else 0.0

    @property
    def slope_mib_per_minute(self) -> float:
        """The slope of the sizes in the last half of the time, when the log's ring is full."""
        half = (self._sizes[0][0] + self._sizes[-1][0]) / 2
        sizes = [(t, s) for t, s in self._sizes if t >= half]
        n = len(sizes)
        mean_t = sum(t for t, _ in sizes) / n
        mean_s = sum(s for _, s in sizes) / n
        over = sum((t - mean_t) * (s - mean_s) for t, s in sizes)
        under = sum((t - mean_t) ** 2 for t, _ in sizes)
        return round(over / under, 2) if under else 0.0


async def press_for(
    terminal: Terminal, meter: Meter, seconds: float, keys: Callable[[int], tuple[str, str]]
) -> list[float]:
    """Press keys at odd moments for a time; the answer times in milliseconds."""
    moments = random.Random(3)
    took: list[float] = []
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        await asyncio.sleep(KEY_EVERY_S * (0.5 + moments.random()))
        took.append(await answered(terminal, *keys(number)))
        number += 1
        if number % 10 == 0:
            meter.sample()
    return took


async def dashboard(minutes: float) -> dict[str, Any]:
    """A fifth of the time on the overview, the rest on the job whose output is followed."""
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        server = NatsServer(Path(folder))
        await server.start()
        generator = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.tui_generator", server.url),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        terminal = Terminal(*SIZE)
        try:
            assert generator.stdout is not None
            assert generator.stdin is not None
            await generator.stdout.readline()
            command = [str(Path(sys.executable).with_name("qgjob")), "--server", server.url, "tui"]
            env = {"HOME": folder, "XDG_CONFIG_HOME": folder}
            idle = [await started(Terminal(*SIZE), command, Path(folder), env) for _ in range(STARTS)]
            generator.stdin.write(b"play\n")
            await asyncio.sleep(1)
            first_paint, first_row = await started(terminal, command, Path(folder), env, keep=True)
            all_rows = first_row + await until(
                lambda: _ALL.search(terminal.raw) is not None, 400, "100,000 jobs"
            )
            meter = Meter(psutil.Process(terminal.pid))
            await asyncio.sleep(WARM_UP_S)
            meter.sample()

            meter.restart()
            on_overview = await press_for(terminal, meter, minutes * 12, lambda n: (" ", f"{n + 1} marked"))
            overview_cpu = meter.cpu_percent
            terminal.press("u")
            keystrokes: list[float] = []
            for _ in range(FILTERS):
                await answered(terminal, "/", "keep")
                keystrokes += [await answered(terminal, k, r"[0-9] of 1[0-9]{2},[0-9]{3}") for k in "test"]
                terminal.press("\x1b")
                await asyncio.sleep(1)
            filtered = await answered(terminal, f"/job:{LOG_JOB}\r", "1 of ")
            await answered(terminal, "\r", "Log")
            await asyncio.sleep(1)
            meter.restart()
            in_log = await press_for(
                terminal, meter, minutes * 48, lambda n: ("f", ("paused|new below", "following")[n % 2])
            )
            log_cpu = meter.cpu_percent
            meter.sample()
        finally:
            terminal.close()
            generator.kill()
            await generator.wait()
            server.kill()
    return {
        "minutes": minutes,
        "start_ms": {
            "first_paint": round(median(paint for paint, _ in idle)),
            "first_row": round(median(row for _, row in idle)),
        },
        "start_under_load_ms": {"first_paint": round(first_paint), "first_row": round(first_row)},
        "all_100000_ms": round(all_rows),
        "cpu_percent": {"overview": overview_cpu, "log": log_cpu},
        "filter_keystroke_ms": {
            **{n: round(v, 1) for n, v in percentiles(keystrokes).items()},
            "each": [round(took) for took in keystrokes],
        },
        "filter_typed_ms": round(filtered),
        "largest_mib": meter.largest_mib,
        "mib_each_minute": meter.mib_each_minute,
        "growth_mib_per_minute": meter.growth_mib_per_minute,
        "slope_of_last_half_mib_per_minute": meter.slope_mib_per_minute,
        "key_ms": {
            "overview": {n: round(v, 1) for n, v in percentiles(on_overview).items()},
            "log": {n: round(v, 1) for n, v in percentiles(in_log).items()},
        },
    }


def run_dashboard() -> dict[str, Any]:
    """The benchmark of the dashboard."""
    return asyncio.run(dashboard(float(os.environ.get("QGJOB_BENCH_MINUTES", "10"))))
