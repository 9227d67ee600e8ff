"""Addresses of WebSockets: they work where aiohttp is there, and cost nobody else its import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qgjob.bus.connect import ServerOptions, connect
from qgjob.local.ports import free_port
from tests.support.servers import NatsServer


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
