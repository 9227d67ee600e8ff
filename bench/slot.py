"""What a slot costs: logs at 5,000 lines a second, the gap between jobs, a cancel. Idle ones: `devices`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil

from agent.supervision.processes import marked, parents
from agent.supervision.sweep import agent_mark
from bench.system import running_system
from qgjob.client import Client, SubmitRequest
from qgjob.client.models import WaitOptions
from qgjob.clock import SystemClock
from qgjob.local.system import LocalSystem

_LINES = 50_000
_TALK = """
import sys, time
began = time.monotonic()
for n in range({lines}):
    print(n, "x" * 80)
    ahead = n / 5000 - (time.monotonic() - began)
    if ahead > 0.01:
        sys.stdout.flush(); time.sleep(ahead)
sys.stdout.flush()
print(time.monotonic() - began, file=sys.stderr)
"""
_STUBBORN = """
import os, signal, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        break
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print("here", flush=True)
while True:
    time.sleep(1)
"""


@asynccontextmanager
async def _lab(slots: int) -> AsyncGenerator[tuple[Client, LocalSystem, Path]]:
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as name:
        async with running_system(Path(name), agents=1, slots=slots) as (system, bus):
            yield Client(bus, SystemClock()), system, Path(name)


def _request(count: int, *argv: str, runner: str = "command") -> SubmitRequest:
    tests = tuple(f"t{n}" for n in range(count))
    return SubmitRequest(org_id="bench", app_version_id="v1", tests=tests, runner=runner, argv=argv)


async def _logs() -> dict[str, float]:
    async with _lab(1) as (client, _, _):
        submitted = await client.submit(_request(1, sys.executable, "-c", _TALK.format(lines=_LINES)))
        text: dict[str, list[str]] = {"out": [], "err": [], "sys": []}
        async for chunk in client.logs(submitted.jobs[0].job_id, follow=True):
            for name, part in chunk.parts:
                text[name].append(part)
        seen = [int(line.split()[0]) for line in "".join(text["out"]).splitlines()]
        talked_s = float("".join(text["err"]))
        return {
            "lines": len(seen),
            "lost": _LINES - len(set(seen)),
            "in_order": float(seen == list(range(_LINES))),
            "slowed_percent": round((talked_s / (_LINES / 5000) - 1) * 100, 2),
        }


async def _gap(runner: str, count: int, *argv: str) -> dict[str, float]:
    async with _lab(1) as (client, _, _):
        submitted = await client.submit(_request(count, *argv, runner=runner))
        waited = await client.wait(submitted.run_id, WaitOptions(timeout_s=120), known=submitted)
        attempts = sorted((job.attempts[-1] for job in waited.jobs), key=lambda a: a.started_at or 0)
        # From one test's end to the next test's begin, by the agent's own clock.
        gaps = [
            1000 * ((b.running_at or 0) - (a.running_at or 0) - (a.duration_s or 0))
            for a, b in pairwise(attempts)
        ]
        cuts = quantiles(gaps, n=100)
        return {"p50_ms": round(cuts[49], 2), "p95_ms": round(cuts[94], 2)}


async def _cancel() -> dict[str, float]:
    async with _lab(1) as (client, _, folder):
        mark = agent_mark("local", folder / "agent-local")
        submitted = await client.submit(_request(1, sys.executable, "-c", _STUBBORN))
        job = submitted.jobs[0].job_id
        heard = 0
        async for chunk in client.logs(job, follow=True):
            heard += sum(text.count("here") for _, text in chunk.parts)
            if heard >= 4:
                break
        supervisors = {pid for pid in marked(mark, parents()) if _is_supervisor(pid)}
        began = time.monotonic()
        await client.cancel(job)
        while marked(mark, parents()) - supervisors:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)
        return {"last_process_gone_s": round(time.monotonic() - began, 2)}


def _is_supervisor(pid: int) -> bool:
    return "supervisor_process" in " ".join(psutil.Process(pid).cmdline())


def run_slot() -> dict[str, Any]:
    """All of them, each on a system of its own."""
    return {
        "logs": asyncio.run(_logs()),
        "gap_noop": asyncio.run(_gap("noop", 500)),
        "gap_command": asyncio.run(_gap("command", 100, "true")),
        "cancel": asyncio.run(_cancel()),
    }
