"""Runners within the agent's process, for measuring everything but the test: plug-ins, as labs write them."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from agent.launch import JobDirs, OutputSink
from agent.runners.base import InProcessRunner, RunnerJob, RunResult, Verdict


class Noop(InProcessRunner):
    """Passes at once."""

    name: ClassVar[str] = "noop"
    slow: ClassVar[bool] = False

    async def run(self, job: RunnerJob, dirs: JobDirs, emit_log: OutputSink) -> RunResult:
        """Pass."""
        return RunResult(verdict=Verdict.PASSED)


class Sleep(InProcessRunner):
    """Sleeps for as many seconds as its first argument says, then passes."""

    name: ClassVar[str] = "sleep"

    async def run(self, job: RunnerJob, dirs: JobDirs, emit_log: OutputSink) -> RunResult:
        """Sleep, then pass."""
        await asyncio.sleep(float(job.argv[0]) if job.argv else 0.0)
        return RunResult(verdict=Verdict.PASSED)


PLUGINS = "bench.runners:Noop,bench.runners:Sleep"
