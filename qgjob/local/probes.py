"""Whether a server answers: asked in its own protocol, without a client library.

A port that accepts a connection proves nothing: a server that is still reading its store, or
about to give up, accepts too. So each probe asks something that only a usable server answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator

_INBOX = "_INBOX.qgjob.probe"
_JETSTREAM_QUESTION = (
    'CONNECT {"verbose":false,"pedantic":false,"lang":"qgjob-probe","version":"1","protocol":1}\r\n'
    f"SUB {_INBOX} 1\r\n"
    f"PUB $JS.API.INFO {_INBOX} 0\r\n\r\n"
    "PING\r\n"
)


async def nats_ready(host: str, port: int, *, timeout: float = 1.0) -> bool:
    """Whether a nats-server answers here and its JetStream is usable; waits `timeout` seconds at most."""
    try:
        async with asyncio.timeout(timeout), _connection(host, port) as (reader, writer):
            verb, _, info = (await reader.readline()).partition(b" ")
            if verb != b"INFO" or not json.loads(info).get("jetstream"):
                return False
            writer.write(_JETSTREAM_QUESTION.encode())
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


async def valkey_ready(host: str, port: int, *, timeout: float = 1.0) -> bool:
    """Whether a server of the Redis protocol answers PING here; waits `timeout` seconds at most."""
    try:
        async with asyncio.timeout(timeout), _connection(host, port) as (reader, writer):
            writer.write(b"*1\r\n$4\r\nPING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
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
