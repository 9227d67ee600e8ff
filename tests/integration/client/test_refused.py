"""What a server says to whoever connects: it takes them, or refuses their credentials, at once or after a while."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import struct
from pathlib import Path

import pytest

from qgjob.bus.connect import ServerOptions, connect, open_bus
from qgjob.errors import NotAllowedError, QgjobError, UnreachableError
from tests.support.peer import Peer
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a server that takes strangers as some user, and meets wrong credentials."""
    info = {
        "server_id": "S",
        "version": "2.14.0",
        "headers": True,
        "max_payload": 1024,
        "auth_required": False,
    }
    writer.write(f"INFO {json.dumps(info)}\r\n".encode())
    await reader.readuntil(b"CONNECT")
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(("user", "expected"), [("ci:wrong@", NotAllowedError), ("", UnreachableError)])
async def test_a_reset_means_refused_credentials_where_some_were_given(user: str, expected: type[QgjobError]):
    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(expected) as caught:
            await connect(ServerOptions(f"nats://{user}127.0.0.1:{port}"))
    assert caught.value.hint


class ReloadedServer(NatsServer):
    """Reads its configuration anew when it is told to; so it has no name of its own, and asks for a token."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, config=folder / "nats.conf")
        folder.mkdir()

    def take(self, token: str) -> None:
        """From now on only clients with this token may connect, or be connected."""
        (self.folder / "nats.conf").write_text(f'authorization {{ token: "{token}" }}\njetstream {{}}\n')
        if self.running:
            os.kill(self.pid, signal.SIGHUP)

    def _argv(self) -> list[str]:
        argv = super()._argv()
        name = argv.index("-n")
        return argv[:name] + argv[name + 2 :]

    async def _ready(self) -> bool:
        return "Server is ready" in self.log


async def test_a_service_says_where_it_is_connected(
    shared_nats: NatsServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    async with open_bus(ServerOptions(shared_nats.url)):
        assert not caplog.messages, "a command"
    async with open_bus(ServerOptions(shared_nats.url, wait_for_server=True)) as bus:
        version = bus.server_version
    assert f"connected to {shared_nats.url}: nats-server {version}" in caplog.messages


async def test_a_server_that_refuses_a_service_is_tried_less_and_less_often(
    shared_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("qgjob.bus.connect._RECONNECT_WAIT_S", 0.01)
    async with (
        Proxy(shared_nats.port) as proxy,
        Peer(refuses=True, hangs_up=True) as peer,
        open_bus(ServerOptions(proxy.url, wait_for_server=True)) as bus,
    ):
        proxy.to = peer.port
        proxy.cut()
        await wait_for(lambda: len(peer.came) > 5, 10, "several attempts")
        assert peer.came[5] - peer.came[4] > 0.2
        proxy.to = shared_nats.port
        await wait_for(lambda: bus.connected, 10, "the connection")
        assert bus.nc.options["reconnect_time_wait"] == 0.01


async def test_a_server_that_is_silent_is_tried_again_at_once(
    shared_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("qgjob.bus.connect._RECONNECT_WAIT_S", 0.01)
    async with Proxy(shared_nats.port) as proxy, Peer(greets=False) as peer:
        options = ServerOptions(proxy.url, wait_for_server=True, connect_timeout_s=0.5)
        async with open_bus(options) as bus:
            proxy.to = peer.port
            proxy.cut()
            await wait_for(lambda: len(peer.came) > 2, 10, "several attempts")
            assert bus.nc.options["reconnect_time_wait"] == 0.01
            proxy.to = shared_nats.port
            await wait_for(lambda: bus.connected, 10, "the connection")


async def test_a_service_whose_credentials_are_refused_for_a_while_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    server = ReloadedServer(tmp_path / "nats")
    server.take("the-right-one")
    await server.start()
    try:
        options = ServerOptions(server.url, token="the-right-one", wait_for_server=True)
        async with open_bus(options) as bus:
            server.take("another-one")
            await wait_for(lambda: not bus.connected)
            await wait_for(lambda: "authorization violation" in caplog.text.lower(), 10, "the reason")
            server.take("the-right-one")
            await wait_for(lambda: bus.connected, 20, "the connection")
            assert await bus.requests.api("INFO")
    finally:
        server.kill()
