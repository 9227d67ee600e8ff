"""Whether a server answers: asked in its own protocol, without a client library.

A port that accepts a connection proves nothing: a server that is still reading its store, or
about to give up, accepts too. So each probe asks something that only a usable server answers,
and, where it is told what to expect, makes sure that it is not somebody else's server, which was
quicker at the port, that answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path

_INBOX = "_INBOX.qgjob.probe"
_CONNECT = {"verbose": False, "pedantic": False, "lang": "qgjob-probe", "version": "1", "protocol": 1}
_JETSTREAM_QUESTION = f"SUB {_INBOX} 1\r\nPUB $JS.API.INFO {_INBOX} 0\r\n\r\nPING\r\n"


async def nats_ready(
    host: str, port: int, *, name: str | None = None, token: str | None = None, timeout: float = 1.0
) -> bool:
    """Whether a nats-server (of this name) answers and its JetStream is usable, within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout), _connection(host, port) as (reader, writer):
            verb, _, info = (await reader.readline()).partition(b" ")
            if verb != b"INFO":
                return False
            server = json.loads(info)
            if not server.get("jetstream") or name not in (None, server.get("server_name")):
                return False
            connect = json.dumps({**_CONNECT, "auth_token": token} if token else _CONNECT)
            writer.write(f"CONNECT {connect}\r\n{_JETSTREAM_QUESTION}".encode())
            while line := await reader.readline():
                words = line.split()
                if words[:1] == [b"MSG"]:
                    answer = json.loads(await reader.readexactly(int(words[-1])))
                    return "error" not in answer
                if words[:1] == [b"-ERR"]:
                    return False
    except (OSError, ValueError, EOFError):
        pass
    return False


async def valkey_ready(host: str, port: int, *, folder: Path | None = None, timeout: float = 1.0) -> bool:
    """Whether a Valkey (with this working folder) answers here within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout), _connection(host, port) as (reader, writer):
            writer.write(b"PING\r\nCONFIG GET dir\r\nQUIT\r\n")
            answer = (await reader.read()).split(b"\r\n")
            # +PONG, *2, $3, dir, $N, the folder, +OK
            ours = folder is None or answer[5:6] == [os.fsencode(os.path.realpath(folder))]
            return answer[0] == b"+PONG" and ours
    except (OSError, ValueError):
        return False


@contextlib.asynccontextmanager
async def _connection(
    host: str, port: int
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        # Not closed politely: a paused server would keep us waiting.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
