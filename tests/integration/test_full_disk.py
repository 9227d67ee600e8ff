"""`up` on a disk that is full for a while: a real one, of a mount namespace of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.js import JetStreamContext

from bus_schemas import streams
from qgjob.client import ServerOptions, SubmitRequest, open_client
from qgjob.client.submitting import publish_run
from qgjob.clock import SystemClock
from qgjob.config import STATE_DIR_VARIABLE
from qgjob.errors import UnreachableError
from qgjob.local.room import ENOUGH_BYTES, RoomWatch
from qgjob.local.supervisor import Supervisor
from tests.support.mounts import OWN_MOUNTS, skip_without_mounts
from tests.support.services import shell
from tests.support.wait import wait_for

_MOUNT: Final = 'mount -t tmpfs -o size=256m tmpfs "$0" && exec "$@"'


class Program:
    """`up` with stand-in services on a small disk, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        # The disk is seen through the process that lives on it.
        self.disk = Path(f"/proc/{process.pid}/root{folder}")
        self.said: list[str] = []

    async def until(self, words: str) -> str:
        assert self._process.stdout is not None
        while True:
            line = (await asyncio.wait_for(self._process.stdout.readline(), 60)).decode()
            assert line, f"it ended without {words!r}: {self.said}"
            self.said.append(line)
            if words in line:
                return line


@contextlib.asynccontextmanager
async def on_a_small_disk(tmp_path: Path) -> AsyncGenerator[Program]:
    folder = tmp_path / "disk"
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(*OWN_MOUNTS, "sh", "-c", _MOUNT, str(folder)),
        *(sys.executable, "-m", "tests.support.up_program", str(folder / "data")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, STATE_DIR_VARIABLE: str(tmp_path / "state")},
    )
    try:
        yield Program(process, folder)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(2**20))
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as out:
        while True:
            out.write(bytes(512))


async def stores(stream: JetStreamContext) -> bool:
    try:
        await stream.publish("any", bytes(64 * 1024), timeout=1)
    except (nats.errors.Error, nats.js.errors.Error):
        return False
    return True


async def test_after_a_full_disk_nats_is_started_again_and_stores(tmp_path: Path) -> None:
    await asyncio.to_thread(skip_without_mounts)
    async with on_a_small_disk(tmp_path) as program:
        line = await program.until("qgjob is up at nats://")
        client = await nats.connect(line.split()[4], max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        stream = client.jetstream()
        await stream.add_stream(name="ANY", subjects=["any"])
        assert await stores(stream)
        await asyncio.to_thread(fill, program.disk / "fill")
        assert not await stores(stream)
        await program.until("The disk is full: nats-server cannot store anything in")
        (program.disk / "fill").unlink()
        await program.until("There is room on the disk again")
        await wait_for(lambda: stores(stream), what="a message that is stored", timeout=30)
        assert (await stream.stream_info("ANY")).state.messages >= 2
        assert not any("ended unexpectedly" in said for said in program.said)
        await client.close()


@pytest.mark.parametrize("jobs", [1, 3])
async def test_a_submit_that_a_full_disk_keeps_out_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    await asyncio.to_thread(skip_without_mounts)
    monkeypatch.setattr(publish_run, "RETRY_FOR_S", 0.1)
    monkeypatch.setattr(publish_run, "_ANSWER_TIMEOUT_S", 1.0)
    async with on_a_small_disk(tmp_path) as program:
        line = await program.until("qgjob is up at nats://")
        async with open_client(ServerOptions(line.split()[4])) as client:
            config = next(config for config in streams.streams(1) if config["name"] == streams.JOBS)
            await client.bus.requests.api(f"STREAM.CREATE.{streams.JOBS}", config)
            await asyncio.to_thread(fill, program.disk / "fill")
            tests = [f"tests/t{number}.py" for number in range(jobs)]
            request = SubmitRequest(
                org_id="acme", app_version_id="v1", tests=tests, env={"ROOM": "x" * 30_000}
            )
            with pytest.raises(UnreachableError, match=r"did not store the run within 0\.1 s") as caught:
                await client.submit(request)
    assert "disk full" in (caught.value.hint or "")


async def test_the_server_is_left_alone_while_the_disk_is_full_and_started_again_once(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    room = 0
    script = (
        "echo ready >/dev/fd/$QGJOB_READY_FD; while read line; do echo $line; done <fifo; exec sleep 1000"
    )
    os.mkfifo(tmp_path / "fifo")
    async with asyncio.TaskGroup() as tasks:
        clock = SystemClock()
        supervisor = Supervisor(tmp_path, tasks=tasks, clock=clock, announce=said.append)
        await supervisor.start(shell("nats", f"cd {tmp_path}; {script}"))
        watch = RoomWatch(
            supervisor.log("nats"),
            tmp_path,
            start_again=lambda: supervisor.start_again("nats"),
            announce=said.append,
            clock=clock,
            free=lambda _: room,
        )
        first = supervisor.pids()["nats"]
        await watch.look()
        assert not said
        log = supervisor.log("nats")
        await asyncio.to_thread(
            (tmp_path / "fifo").write_text, "[ERR] write 1.blk: no space left on device\n"
        )
        await wait_for(lambda: "no space" in log.path.read_text(), what="the complaint in the log")
        for _ in range(3):
            await watch.look()
        assert [text.partition(":")[0] for text in said] == ["The disk is full"]
        assert supervisor.pids()["nats"] == first
        room = ENOUGH_BYTES
        await watch.look()
        await wait_for(lambda: supervisor.pids().get("nats", first) != first, what="another nats")
        second = supervisor.pids()["nats"]
        await watch.look()
        assert supervisor.pids()["nats"] == second
        await supervisor.stop()
    assert sum("There is room on the disk again" in text for text in said) == 1
    assert not any("unexpectedly" in text for text in said)
