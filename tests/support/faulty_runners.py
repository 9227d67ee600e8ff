"""Runners for labs in which something is wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import ClassVar

from agent.launch import JobDirs, OutputSink
from agent.runners.base import InProcessRunner, RunnerJob, RunResult, Verdict

PLUGINS = "tests.support.faulty_runners:Picky,tests.support.faulty_runners:Deadly,tests.support.faulty_runners:Until"


class Picky(InProcessRunner):
    """Meets an infrastructure error on the slots that its first argument names, `*` being all.

    Elsewhere it sleeps for as many seconds as its second argument says, and passes. A slot is let go
    of its fault when the file that the third argument names is there.
    """

    name: ClassVar[str] = "picky"

    async def run(self, job: RunnerJob, dirs: JobDirs, emit_log: OutputSink) -> RunResult:
        """Pass or not."""
        bad, sleep_s, mended = (*job.argv, "", "0", "")[:3] if len(job.argv) < 3 else job.argv[:3]
        broken = bad == "*" or job.slot in bad.split(",")
        if broken and not (mended and os.path.exists(mended)):  # noqa: PTH110  # one look
            return RunResult(verdict=Verdict.INFRASTRUCTURE, reason="the cable is broken")
        await asyncio.sleep(float(sleep_s or 0))
        return RunResult(verdict=Verdict.PASSED)


class Deadly(InProcessRunner):
    """Kills the agent that runs it."""

    name: ClassVar[str] = "deadly"

    async def run(self, job: RunnerJob, dirs: JobDirs, emit_log: OutputSink) -> RunResult:
        """Kill."""
        os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(60)
        return RunResult(verdict=Verdict.PASSED)


class Until(InProcessRunner):
    """Passes once the file is there that its first argument names."""

    name: ClassVar[str] = "until"

    async def run(self, job: RunnerJob, dirs: JobDirs, emit_log: OutputSink) -> RunResult:
        """Wait, then pass."""
        while not os.path.exists(job.argv[0]):  # noqa: PTH110, ASYNC110  # a file tells nobody of itself
            await asyncio.sleep(0.05)
        return RunResult(verdict=Verdict.PASSED)
