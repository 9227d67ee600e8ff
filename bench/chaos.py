"""Jobs that leave all kinds of things behind, while agents, supervisors and jobs are killed at random.

At the end every job has one end, and nothing is left: no process, no port that one of them listens to,
no work folder, temporary file or half a download, and with phones (simulated ones, behind the real adb)
no forwarded port either.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent.supervision.processes import marked, parents
from agent.supervision.sweep import agent_mark
from bench import leftovers
from bench.devices import simulated_phones
from qgjob.bus.connect import ServerOptions
from qgjob.client import Client, SubmitRequest, open_client
from qgjob.client.models import WaitOptions
from qgjob.local.system import LocalSystem, UpOptions
from tests.support.adbsim import AdbHost
from tests.support.adbsim.apk import make_apk

_AGENTS = 0.15
"""The share of kills that meet an agent."""
_LOOK_AGAIN_S = 0.05
_JOB = """
import os, random, socket, subprocess, sys, time
serial = os.environ.get("QGJOB_UDID")
kind = random.randrange(6 if serial else 5)
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
if kind == 5:
    subprocess.run(["adb", "-s", serial, "forward", "tcp:0", "tcp:7000"], check=True)
time.sleep(random.random() * 0.3)
"""


@dataclass(frozen=True, slots=True)
class Left:
    """What came of the jobs, and what was found at the end."""

    jobs: int
    ended: int
    kills: int
    things: list[str]
    """A line for each thing that should not be there."""
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether every job ended and nothing is left."""
        return self.ended == self.jobs and not self.things

    def __str__(self) -> str:
        return (
            f"{self.ended} of {self.jobs} jobs ended in {self.seconds:.0f} s under {self.kills} kills; "
            f"{len(self.things)} things left behind"
        )


async def chaos(
    jobs: int = 500,
    *,
    agents: int = 2,
    slots: int = 4,
    phones: int = 0,
    every_s: float = 1.0,
    most: int | None = None,
    seed: int = 1,
) -> Left:
    """Run it on a system of its own in a temporary folder.

    `most` kills at most: of few jobs one that meets nothing but kills would be put off for minutes.
    With `phones` there is one agent with that many simulated phones instead; the real adb must be there.
    """
    dice = random.Random(seed)
    token = secrets.token_hex(8)
    began = time.monotonic()
    killed: list[int] = []
    with tempfile.TemporaryDirectory(prefix="qgjob-chaos-") as name:
        folder, tmp = Path(name) / "data", Path(name) / "tmp"
        tmp.mkdir()
        async with _phones(Path(name), phones) as (adb, serials):
            with _environment({"TMPDIR": str(tmp), **(_reaching(adb) if adb else {})}):
                options = UpOptions(
                    data_dir=folder,
                    agents=1 if adb else agents,
                    slots=phones or slots,
                    agent_args=("--driver", "adb", "--devices", ",".join(serials)) if adb else (),
                    scheduler_args=("--ack-wait", "5"),
                )
                async with (
                    LocalSystem(options) as system,
                    open_client(ServerOptions(url=system.server, name="chaos")) as client,
                ):
                    if adb is not None:
                        apk = make_apk(Path(name) / "shop.apk")
                        await client.upload_app(apk, org_id="chaos", app_version_id="v1")
                    killer = asyncio.create_task(_kill(system, folder, dice, every_s, killed, most))
                    try:
                        ended = await _run(client, jobs, token)
                    finally:
                        killer.cancel()
                    await _quiet(client)

                    async def while_up() -> list[str]:
                        forwards = await _forwards(adb) if adb else []
                        ours = [*leftovers.processes(token), *leftovers.ports(token)]
                        return [*ours, *leftovers.work_folders(folder), *forwards]

                    things = await leftovers.settled(while_up, patience_s=10)

            async def afterwards() -> list[str]:
                supervisors = [f"process {process.pid}" for process in _marked(folder)]
                return [*await while_up(), *supervisors, *leftovers.temporary(folder, tmp)]

            things += await leftovers.settled(afterwards, patience_s=10)
        left = list(dict.fromkeys(things))
        return Left(jobs, ended, len(killed), left, time.monotonic() - began)


async def _run(client: Client, jobs: int, token: str) -> int:
    request = SubmitRequest(
        org_id="chaos",
        app_version_id="v1",
        tests=tuple(f"t{n}" for n in range(jobs)),
        runner="command",
        argv=(sys.executable, "-c", _JOB),
        env={leftovers.TOKEN: token},
        infra_retries=20,
    )
    submitted = await client.submit(request)
    waited = await client.wait(submitted.run_id, WaitOptions(timeout_s=1800), known=submitted)
    return sum(job.ended_at is not None for job in waited.jobs)


@contextlib.asynccontextmanager
async def _phones(folder: Path, count: int) -> AsyncGenerator[tuple[AdbHost | None, list[str]]]:
    if not count:
        yield None, []
        return
    async with simulated_phones(count) as serials, AdbHost(folder / "adb") as host:
        yield host, serials


def _reaching(host: AdbHost) -> dict[str, str]:
    return {name: value for name, value in host.environment.items() if name not in {"HOME", "TMPDIR"}}


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Generator[None]:
    """What we start for the time of a block has these in its environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


async def _forwards(host: AdbHost) -> list[str]:
    _, text = await host.adb("forward", "--list")
    return [f"forward {line}" for line in text.splitlines() if line.strip()]


async def _kill(
    system: LocalSystem,
    folder: Path,
    dice: random.Random,
    every_s: float,
    killed: list[int],
    most: int | None,
) -> None:
    """Kill an agent, a supervisor or a job's process, again and again."""
    while most is None or len(killed) < most:
        await asyncio.sleep(dice.expovariate(1 / every_s))
        an_agent = dice.random() < _AGENTS
        while True:  # a kill is not saved by there being nobody to kill just now
            agents = [pid for name, pid in system.pids().items() if name.startswith("agent")]
            others = [process.pid for process in _marked(folder) if process.pid not in agents]
            if chosen := agents if an_agent else others:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
        pid = dice.choice(chosen)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)


async def _quiet(client: Client) -> None:
    """Until no slot is busy any more; one may rest for a minute, having met nothing but kills."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        agents = await client.agents()
        if agents and not any(slot.state == "busy" for agent in agents for slot in agent.slots):
            return
        await asyncio.sleep(0.25)


def _marked(folder: Path) -> list[psutil.Process]:
    """Supervisors and what they started, of this system alone."""
    marks = [agent_mark(path.name.removeprefix("agent-"), path) for path in folder.glob("agent-*")]
    processes: list[psutil.Process] = []
    for pid in {pid for mark in marks for pid in marked(mark, parents())}:
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(pid))
    return processes


def main(argv: list[str]) -> int:
    """`python -m bench.chaos [JOBS]`: prints what is left, exits with 1 when anything is.

    A fifth as many run again on simulated phones, where adb is installed.
    """
    jobs = int(argv[0]) if argv else 500
    runs = [asyncio.run(chaos(jobs))]
    if shutil.which("adb"):
        runs.append(asyncio.run(chaos(max(1, jobs // 5), phones=4)))
    else:
        print("adb is missing: forwarded ports were not looked for", file=sys.stderr)
    for left in runs:
        print(left)
        for line in left.things:
            print(" ", line)
    return 0 if all(left.clean for left in runs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
