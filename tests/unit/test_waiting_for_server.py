"""A program that waits for its server says so: an agent with a wrong address would be silent for ever."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from qgjob.bus import connect
from qgjob.bus.connect import ServerOptions
from qgjob.local.ports import free_port
from tests.support.peer import Peer
from tests.support.wait import wait_for


async def test_who_waits_for_the_server_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connect, "_SAY_AFTER_S", 0.01)
    port = free_port("127.0.0.1")
    options = ServerOptions(url=f"nats://ci:hidden@127.0.0.1:{port}", name="test", wait_for_server=True)
    waiting = asyncio.create_task(connect.connect(options))
    await wait_for(lambda: "no NATS server answers" in caplog.text, 10, "it to be said")
    assert f"127.0.0.1:{port}" in caplog.text
    assert "hidden" not in caplog.text
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_who_gives_up_waiting_leaves_nobody_behind_who_tries_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connect, "_SAY_AFTER_S", 0.01)
    before = asyncio.all_tasks()
    url = f"nats://127.0.0.1:{free_port('127.0.0.1')}"
    waiting = asyncio.create_task(connect.connect(ServerOptions(url=url, wait_for_server=True)))
    await wait_for(lambda: "no NATS server answers" in caplog.text, 10, "it to wait")
    waiting.cancel()
    await wait_for(lambda: asyncio.all_tasks() <= before, 10, "all of it to end")


@pytest.mark.parametrize("program", ["scheduler", "gateway", "agent"])
async def test_a_service_that_waits_for_the_server_ends_when_it_is_told_to(
    tmp_path: Path, program: str
) -> None:
    options = ("--data-dir", str(tmp_path)) if program == "agent" else ()
    module = "agent" if program == "agent" else f"qgjob.{program}"
    async with Peer(greets=False) as peer:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "--server", peer.url, *options),
            env={**os.environ, "PORT": "0"},
        )
        try:
            await wait_for(lambda: peer.came, 20, "it to look for the server")
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
