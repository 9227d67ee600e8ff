"""What a job writes: all of it arrives, and no faster than it is taken."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from agent.launch import EndReason, StreamName
from agent.supervision.job_supervisor import JobSupervisor
from tests.integration.agent.conftest import Launch, Output


async def test_output_is_bytes_whatever_they_are(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    await supervisor.run(launch("printf", r"\377\000\342\202"), output)
    assert output.of("stdout") == b"\xff\x00\xe2\x82"


async def test_a_failing_sink_ends_the_job_and_is_reported(supervisor: JobSupervisor, launch: Launch):
    async def sink(_stream: StreamName, _data: bytes) -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        await supervisor.run(launch("sh", "-c", "echo x; sleep 1000"), sink)
    assert (await supervisor.run(launch("true"), Output())).code == 0


async def test_a_slow_sink_slows_a_flood_down(supervisor: JobSupervisor, launch: Launch):
    at_once = most = taken = 0

    async def sink(_stream: StreamName, data: bytes) -> None:
        nonlocal at_once, most, taken
        at_once += len(data)
        most = max(most, at_once)
        taken += len(data)
        if taken > 20_000_000:
            supervisor.end(EndReason.CANCELLED, grace_s=0)
        await asyncio.sleep(0)
        at_once -= len(data)

    result = await supervisor.run(launch("sh", "-c", "yes >&2 & exec yes"), sink)
    assert result.ended is EndReason.CANCELLED
    assert most <= 2 * 65536, "more than one chunk of each stream was in flight"


async def test_all_of_the_output_arrives_through_a_slow_sink(supervisor: JobSupervisor, launch: Launch):
    taken = bytearray()

    async def sink(_stream: StreamName, data: bytes) -> None:
        await asyncio.sleep(0.001)
        taken.extend(data)

    await supervisor.run(launch("sh", "-c", "seq 1 100000"), sink)
    assert bytes(taken).split() == [b"%d" % n for n in range(1, 100_001)]


async def test_a_stranger_that_holds_the_pipe_open_delays_nothing(
    supervisor: JobSupervisor, launch: Launch, tmp_path: Path
):
    held = tmp_path / "held"
    output = Output()
    stranger: list[subprocess.Popen[bytes]] = []

    def hold(pid: int) -> None:
        try:
            with open(f"/proc/{pid}/fd/1", "wb") as file:  # noqa: PTH123
                stranger.append(subprocess.Popen(["sleep", "1000"], stdout=file))
        finally:
            held.touch()

    waits = 'until [ -e "$0" ]; do sleep 0.01; done; echo done'
    try:
        result = await supervisor.run(launch("sh", "-c", waits, str(held)), output, on_started=hold)
        assert (result.code, output.of("stdout")) == (0, b"done\n")
        assert stranger[0].poll() is None
    finally:
        for process in stranger:
            process.kill()
            process.wait()
