"""Addresses of WebSockets: they work where aiohttp is there, and cost nobody else its import."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from pathlib import Path

import pytest

from qgjob.bus.connect import ServerOptions, connect, open_bus
from qgjob.errors import NotAllowedError, UnreachableError, UsageError
from qgjob.local.ports import free_port
from tests.conftest import required_program
from tests.support.peer import Peer
from tests.support.servers import NatsServer
from tests.support.tls import Authority
from tests.support.wait import wait_for


def test_no_command_imports_aiohttp() -> None:
    program = "import sys, qgjob.client, tui.feed.feed, agent.service; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.filterwarnings("ignore:parameter 'timeout':DeprecationWarning")  # of aiohttp, to nats-py
async def test_a_web_socket_leads_to_the_server(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "nats.conf"
    config.write_text(f"jetstream {{}}\nwebsocket {{ host: 127.0.0.1, port: {port}, no_tls: true }}\n")
    server = NatsServer(tmp_path / "nats", config=config)
    await server.start()
    try:
        bus = await connect(ServerOptions(url=f"ws://127.0.0.1:{port}"))
        await bus.requests.round_trip()
        await bus.close()
    finally:
        server.kill()


@pytest.mark.filterwarnings("ignore:parameter 'timeout':DeprecationWarning")  # of aiohttp, to nats-py
async def test_a_web_socket_is_encrypted_where_it_says_so_and_no_file_of_tls_is_without(
    tmp_path: Path,
) -> None:
    authority = Authority(required_program("openssl"), tmp_path / "tls")
    pair, port = authority.pair("server"), free_port()
    config = tmp_path / "nats.conf"
    config.write_text(
        f"jetstream {{}}\nwebsocket {{ host: 127.0.0.1, port: {port}, "
        f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}" }} }}\n'
    )
    server = NatsServer(tmp_path / "nats", config=config)
    await server.start()
    ca = str(authority.file)
    try:
        async with open_bus(ServerOptions(f"wss://127.0.0.1:{port}", tls_ca=ca)) as bus:
            await bus.requests.round_trip()
        with pytest.raises(UnreachableError, match="TLS"):
            await connect(ServerOptions(f"wss://127.0.0.1:{port}"))
        with pytest.raises(UsageError, match="ws:// has no TLS"):
            await connect(ServerOptions(f"ws://127.0.0.1:{port}", tls_ca=ca, token="secret"))
        for other in (f"ws://127.0.0.1:{port}", server.url.replace("nats://", "ws://")):
            with pytest.raises(UnreachableError, match=r"answers, but not on a WebSocket\.$"):
                await connect(ServerOptions(other))
    finally:
        server.kill()


@pytest.mark.filterwarnings("ignore:parameter 'timeout':DeprecationWarning")  # of aiohttp, to nats-py
async def test_nothing_is_left_of_a_web_socket_that_is_refused_or_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    url = f"ws://127.0.0.1:{port}"
    config = tmp_path / "nats.conf"
    config.write_text(
        f"jetstream {{}}\nwebsocket {{ host: 127.0.0.1, port: {port}, no_tls: true, "
        "authorization { token: right } }\n"
    )
    server = NatsServer(tmp_path / "nats", config=config)
    await server.start()
    before = asyncio.all_tasks()
    try:
        with pytest.raises(NotAllowedError):
            await connect(ServerOptions(url, token="wrong"))
        async with open_bus(ServerOptions(url, token="right", wait_for_server=True)) as bus:
            await server.restart()
            await wait_for(lambda: bus.reconnects, 10, "the next connection")
            await bus.requests.round_trip()
            server.pause()  # who closes waits for no answer
    finally:
        server.kill()
    async with Peer(greets=False) as peer:
        with pytest.raises(UnreachableError):
            await connect(ServerOptions(peer.url.replace("nats://", "ws://"), connect_timeout_s=0.1))
        await wait_for(lambda: not peer.open, 2, "the end of the connection")
    await wait_for(lambda: asyncio.all_tasks() <= before, 2, "the end of all tasks")
    gc.collect()
    assert "Unclosed" not in caplog.text
