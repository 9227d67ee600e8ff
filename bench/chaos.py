"""Jobs that leave all kinds of things behind, while agents, supervisors and jobs are killed at random.

At the end every job has one end, and nothing is left: no process, no work folder, no port.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent.supervision.processes import marked, parents
from agent.supervision.sweep import agent_mark
from qgjob.bus.connect import ServerOptions
from qgjob.client import Client, SubmitRequest, open_client
from qgjob.client.models import WaitOptions
from qgjob.local.system import LocalSystem, UpOptions

_JOB = """
import os, random, socket, subprocess, sys, time
kind = random.randrange(5)
if kind == 1:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(900)"], start_new_session=True)
if kind == 2 and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(900)
    os._exit(0)
if kind == 3:
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
    if os.fork() == 0:
        time.sleep(900)
if kind == 4:
    open(os.path.join(os.environ["TMPDIR"], "left"), "wb").write(bytes(100_000))
time.sleep(random.random() * 0.3)
"""


@dataclass(slots=True)
class Left:
    """What was found at the end."""

    jobs: int
    ended: int
    kills: int
    processes: list[str]
    folders: list[str]
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether every job ended and nothing is left."""
        return self.ended == self.jobs and not self.processes and not self.folders

    def __str__(self) -> str:
        return (
            f"{self.ended} of {self.jobs} jobs ended in {self.seconds:.0f} s under {self.kills} kills; left "
            f"behind: {len(self.processes)} processes, {len(self.folders)} folders"
        )


async def chaos(
    jobs: int = 500, *, agents: int = 2, slots: int = 4, every_s: float = 1.0, seed: int = 1
) -> Left:
    """Run it on a system of its own in a temporary folder."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="qgjob-chaos-") as name:
        folder = Path(name)
        options = UpOptions(data_dir=folder, agents=agents, slots=slots, scheduler_args=("--ack-wait", "5"))
        began = time.monotonic()
        killed: list[int] = []
        async with (
            LocalSystem(options) as system,
            open_client(ServerOptions(url=system.server, name="chaos")) as client,
        ):
            request = SubmitRequest(
                org_id="chaos",
                app_version_id="v1",
                tests=tuple(f"t{n}" for n in range(jobs)),
                runner="command",
                argv=(sys.executable, "-c", _JOB),
                infra_retries=20,
            )
            submitted = await client.submit(request)
            killer = asyncio.create_task(_kill(system, folder, dice, every_s, killed))
            try:
                waited = await client.wait(submitted.run_id, WaitOptions(timeout_s=1800), known=submitted)
            finally:
                killer.cancel()
            ended = sum(job.ended_at is not None for job in waited.jobs)
            await _idle(client)
            processes, folders = await _left(folder, running=True)
        more, _ = await _left(folder, running=False)
        return Left(jobs, ended, len(killed), [*processes, *more], folders, time.monotonic() - began)


async def _kill(
    system: LocalSystem, folder: Path, dice: random.Random, every_s: float, killed: list[int]
) -> None:
    """Kill an agent, a supervisor or a job's process, again and again."""
    while True:
        await asyncio.sleep(dice.expovariate(1 / every_s))
        agents = [pid for name, pid in system.pids().items() if name.startswith("agent")]
        others = [process.pid for process in _marked(folder) if process.pid not in agents]
        chosen = agents if dice.random() < 0.15 else others
        if chosen:
            pid = dice.choice(chosen)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)


async def _idle(client: Client) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = await client.agents()
        if found and all(slot.state == "idle" for agent in found for slot in agent.slots):
            return
        await asyncio.sleep(0.25)


def _marked(folder: Path) -> list[psutil.Process]:
    """Supervisors and what they started, of this system alone."""
    marks = [agent_mark(path.name.removeprefix("agent-"), path) for path in folder.glob("agent-*")]
    found: list[psutil.Process] = []
    for pid in {pid for mark in marks for pid in marked(mark, parents())}:
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


async def _left(folder: Path, *, running: bool) -> tuple[list[str], list[str]]:
    """Processes of jobs, and work folders, that are there after a moment of patience."""
    until = time.monotonic() + 10
    while True:
        processes: list[str] = []
        for process in _marked(folder):
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if not (running and "supervisor_process" in line):
                    processes.append(f"{process.pid} {line[:80]}")
        folders = [str(path) for path in folder.glob("agent-*/work/*/*")]
        if not (processes or folders) or time.monotonic() > until:
            return processes, folders
        await asyncio.sleep(0.25)


def main(argv: list[str]) -> int:
    """`python -m bench chaos [JOBS]`: prints what is left, exits with 1 when anything is."""
    left = asyncio.run(chaos(int(argv[0]) if argv else 500))
    print(left)
    for line in [*left.processes, *left.folders]:
        print(" ", line)
    return 0 if left.clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
