"""A server that resets the connection before its last words are read."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest

from qgjob.bus.connect import ServerOptions, connect
from qgjob.errors import NotAllowedError, QgjobError, UnreachableError

pytestmark = pytest.mark.integration


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
