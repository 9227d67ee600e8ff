"""A command that is ended from outside leaves nothing of what it packs in the temporary folder."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from tests.acceptance.conftest import Qgjob, clean_env
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

WHAT = ("--org-id", "acme", "--app-version-id", "v1")


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        (("submit", *WHAT, "--test", "t.sh"), signal.SIGTERM, -signal.SIGTERM),
        (("submit", *WHAT, "--test", "t.sh", "--wait"), signal.SIGINT, 130),
        (("app", "upload", ".", *WHAT), signal.SIGTERM, -signal.SIGTERM),
    ],
    ids=["submit", "submit --wait", "app upload"],
)
async def test_a_command_that_is_ended_while_it_uploads_leaves_no_file(
    nats_server: NatsServer, tmp_path: Path, command: tuple[str, ...], number: signal.Signals, code: int
):
    async with open_bus(ServerOptions(nats_server.url)) as bus:
        await ensure_topology(bus)
    (temporary := tmp_path / "tmp").mkdir()
    (folder := tmp_path / "work").mkdir()
    async with Proxy(nats_server.port) as proxy:
        proxy.up_rate = 50_000
        env = clean_env(tmp_path) | {"QGJOB_SERVER": proxy.url, "TMPDIR": str(temporary)}
        qgjob = Qgjob(folder, env)
        qgjob.file("qgjob.toml")
        qgjob.file("t.sh", "true\n")
        (folder / "large").write_bytes(os.urandom(2**20))
        process = qgjob.start(*command)
        try:
            await wait_for(
                lambda: process.poll() is not None or any(temporary.glob("qgjob-*/*")), 60, "a packed file"
            )
            process.send_signal(number)
            await asyncio.to_thread(process.wait, 60)
        finally:
            process.kill()
            out, err = process.communicate()
    assert process.returncode == code, (out, err)
    assert list(temporary.iterdir()) == []
