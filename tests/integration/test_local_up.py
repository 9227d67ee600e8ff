"""`up` as a process of its own: signals, SIGKILL, the state file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import nats
import psutil
import pytest

from qgjob.config import STATE_DIR_VARIABLE, resolve_server, running_up
from qgjob.local.child import ChildSpec, start_child
from qgjob.local.logs import ChildLog
from tests.support.wait import wait_for


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {STATE_DIR_VARIABLE: str(tmp_path / "state")}


class Up:
    """The running program and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def until(self, words: str) -> None:
        assert self.process.stdout is not None
        while not any(words in line for line in self.said):
            line = await asyncio.wait_for(self.process.stdout.readline(), 30)
            assert line, f"it ended without {words!r}: {self.said}"
            self.said.append(line.decode())

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextlib.asynccontextmanager
async def up(folder: Path, env: dict[str, str], *more: str) -> AsyncGenerator[Up]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.up_program", str(folder), *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **env},
    )
    try:
        yield Up(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def ended(processes: list[psutil.Process]) -> bool:
    # Nobody may be there to reap orphans in a container: a zombie runs no more.
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


async def test_sigkill_of_up_leaves_no_child(tmp_path: Path, env: dict[str, str]) -> None:
    async with up(tmp_path, env) as running:
        await running.until("qgjob is up at nats://")
        children = running.children()
        assert len(children) == 4
        running.process.kill()
        await running.process.wait()
        await wait_for(lambda: ended(children), what="the end of nats, valkey, scheduler and agent")


async def test_sigkill_of_up_frees_folder_and_state_and_keeps_streams(
    tmp_path: Path, env: dict[str, str]
) -> None:
    async with up(tmp_path, env) as running:
        await running.until("qgjob is up at nats://")
        client = await nats.connect(resolve_server(None, env))
        await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await client.close()
        running.process.kill()
        await running.process.wait()
    assert running_up(env) is None
    async with up(tmp_path, env) as running:
        await running.until("qgjob is up at nats://")
        client = await nats.connect(resolve_server(None, env))
        assert await client.jetstream().stream_info("KEPT")
        await client.close()
        assert len(list((tmp_path / "state").iterdir())) == 1, "the stale state file is swept away"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_in_order(tmp_path: Path, env: dict[str, str], number: signal.Signals) -> None:
    async with up(tmp_path, env) as running:
        await running.until("qgjob is up at nats://")
        children = running.children()
        running.process.send_signal(number)
        await running.until("qgjob has stopped.")
        assert await running.process.wait() == 0
        assert ended(children)
    assert (tmp_path / "notes").read_text().split() == ["agent", "scheduler"]
    assert running_up(env) is None
    assert list((tmp_path / "state").iterdir()) == []


async def test_a_second_signal_waits_for_nobody(tmp_path: Path, env: dict[str, str]) -> None:
    async with up(tmp_path, env, "stubborn") as running:
        await running.until("qgjob is up at nats://")
        children = running.children()
        running.process.send_signal(signal.SIGINT)
        await running.until("Ctrl-C again stops at once")
        running.process.send_signal(signal.SIGINT)
        await running.until("qgjob has stopped.")
        assert await running.process.wait() == 0
        assert ended(children)


async def test_a_signal_during_the_start_stops_too(tmp_path: Path, env: dict[str, str]) -> None:
    async with up(tmp_path, env) as running:
        children = await wait_for(running.children, what="the first child")
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.process.wait(), 30) == 0
        await wait_for(lambda: ended(children), what="the end of what was started")


async def test_a_second_up_on_the_folder_is_refused_with_a_sentence(
    tmp_path: Path, env: dict[str, str]
) -> None:
    async with up(tmp_path, env) as first:
        await first.until("qgjob is up at nats://")
        async with up(tmp_path, env) as second:
            output, _ = await second.process.communicate()
    assert output.decode() == f"Another `qgjob up` (pid {first.process.pid}) already runs on {tmp_path}.\n"
    assert second.process.returncode == 7


async def test_others_find_it_through_the_state_file(tmp_path: Path, env: dict[str, str]) -> None:
    async with up(tmp_path, env) as running:
        await running.until("qgjob is up at nats://")
        found = running_up(env)
        assert found is not None
        assert found.pid == running.process.pid
        assert found.data_dir == str(tmp_path)
        assert found.redis_url is not None
        assert any(found.server in line for line in running.said)
        assert (tmp_path / "state" / f"up-{found.pid}.json").stat().st_mode & 0o777 == 0o600


_WATCHED_PARENT = """
import asyncio, sys
from pathlib import Path
from qgjob.local.child import ChildSpec, start_child
from qgjob.local.logs import ChildLog

async def main():
    script = "sleep 1000 & echo ready >/dev/fd/$QGJOB_READY_FD; wait"
    spec = ChildSpec(name="watched", argv=("/bin/sh", "-c", script))
    await start_child(spec, ChildLog(Path(sys.argv[1]), "watched"), watch=True)
    print("started", flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


async def test_where_the_kernel_does_not_help_the_guard_watches_a_pipe(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WATCHED_PARENT, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"started\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) == 3, "the guard, the shell and what that started"
    parent.kill()
    await parent.communicate()
    await wait_for(lambda: ended(children), what="the end of the whole group")


async def test_a_watched_child_is_stopped_like_any_other(tmp_path: Path) -> None:
    script = "trap 'exit 5' TERM; sleep 1000 & echo ready >/dev/fd/$QGJOB_READY_FD; wait"
    spec = ChildSpec(name="watched", argv=("/bin/sh", "-c", script), stop_grace_s=10)
    child = await start_child(spec, ChildLog(tmp_path, "watched"), watch=True)
    children = psutil.Process(child.pid).children(recursive=True)
    assert await child.stop(asyncio.Event())
    assert await child.exited() == 5
    await wait_for(lambda: ended(children), what="the end of what it left behind")
