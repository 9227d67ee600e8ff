"""Jobs under random kills leave nothing behind; and what does stay behind is found."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from bench import leftovers
from bench.chaos import chaos

_STRAY = """
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True)
time.sleep(900)
"""


@contextlib.asynccontextmanager
async def stray(token: str) -> AsyncGenerator[tuple[int, int]]:
    """A process that a job might have left, and the port it listens to."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _STRAY), env={leftovers.TOKEN: token}, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield process.pid, int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def test_what_stays_behind_is_found(tmp_path: Path) -> None:
    token = secrets.token_hex(8)
    assert not leftovers.processes(token)
    async with stray(token) as (pid, port):
        (process,) = leftovers.processes(token)
        assert process.startswith(f"process {pid}: ")
        (listening,) = leftovers.ports(token)
        assert listening.startswith(f"port {port} of process {pid}: ")
    assert not leftovers.processes(token)
    data, tmp = tmp_path / "data", tmp_path / "tmp"
    (data / "agent-a/work/s0/job-1").mkdir(parents=True)
    (data / "agent-a/cache/builds/incoming").mkdir(parents=True)
    (data / "agent-a/cache/builds/incoming/half").touch()
    (tmp / "qgjob-left").mkdir(parents=True)
    assert len(leftovers.work_folders(data)) == 1
    assert len(leftovers.temporary(data, tmp)) == 2


async def test_killed_agents_supervisors_and_jobs_leave_nothing() -> None:
    left = await chaos(20, agents=2, slots=2, every_s=0.6, most=12)
    assert left.clean, (str(left), left.things)
    assert left.kills, "the dice are loaded: somebody is killed"


async def test_nor_do_they_on_phones(adb_program: str) -> None:
    del adb_program
    left = await chaos(6, phones=2, every_s=1.0, most=5)
    assert left.clean, (str(left), left.things)
    assert left.kills
