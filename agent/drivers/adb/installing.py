"""Bring an APK onto a device: streamed to its package manager, or pushed first where it is an old one."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Final

from agent.drivers.adb.errors import AdbError, DeviceGoneError
from agent.drivers.adb.failures import Refusal, refusal_in
from agent.drivers.adb.server import AdbServer
from agent.drivers.adb.wire import Connection

FLAGS: Final = "-r -t"
"""Replace what is there, keeping its data; accept builds marked as test-only."""
STREAMS: Final = "cmd"
"""The feature of devices that take an install as a stream (Android 7 and later)."""
_CHUNK: Final = 256 * 1024
_SYNC_CHUNK: Final = 64 * 1024
_TEMPORARY: Final = "/data/local/tmp"


async def install_apk(
    server: AdbServer, serial: str, path: Path, features: frozenset[str], *, timeout_s: float
) -> Refusal | None:
    """Install; None when the device says `Success`. The caller sets the deadline for all of it.

    Raises `AdbError` when the device is gone before the install begins. A link that is lost within it is a
    refusal without a code.
    """
    if STREAMS in features:
        return await _stream(server, serial, path)
    return await _push(server, serial, path, "shell_v2" in features, timeout_s)


async def _stream(server: AdbServer, serial: str, path: Path) -> Refusal | None:
    size = path.stat().st_size
    async with server.service(serial, f"exec:cmd package install {FLAGS} -S {size}") as connection:
        # The device may refuse before all is sent: read its answer while sending.
        answer = asyncio.create_task(connection.rest(), name=f"install on {serial}")
        try:
            await _send_file(connection, path, answer)
            output = await answer
        except (OSError, AdbError):
            output = b""
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
    return refusal_in(output.decode("utf-8", "replace"))


async def _send_file(connection: Connection, path: Path, answer: asyncio.Task[bytes]) -> None:
    with path.open("rb") as file:
        while not answer.done() and (piece := file.read(_CHUNK)):
            try:
                connection.writer.write(piece)
                await connection.writer.drain()
            except OSError:
                return  # it closed the connection: what it answered before counts


async def _push(server: AdbServer, serial: str, path: Path, v2: bool, timeout_s: float) -> Refusal | None:
    remote = f"{_TEMPORARY}/qgjob-{secrets.token_hex(6)}.apk"
    try:
        async with server.service(serial, "sync:") as connection:
            await _sync_send(connection, path, remote, serial)
        answer = await server.shell(serial, f"pm install {FLAGS} {remote}", timeout_s=timeout_s, v2=v2)
    finally:
        async with asyncio.timeout(5):
            await server.shell(serial, f"rm -f {remote}", timeout_s=5, v2=v2)
    return refusal_in(f"{answer.output}\n{answer.error}")


async def _sync_send(connection: Connection, path: Path, remote: str, serial: str) -> None:
    """The `SEND` of adb's file service: pieces of up to 64 KiB, each with its length."""
    writer = connection.writer
    try:
        target = f"{remote},{0o100644}".encode()
        writer.write(b"SEND" + len(target).to_bytes(4, "little") + target)
        with path.open("rb") as file:
            while piece := file.read(_SYNC_CHUNK):
                writer.write(b"DATA" + len(piece).to_bytes(4, "little") + piece)
                await writer.drain()
        writer.write(b"DONE" + int(path.stat().st_mtime).to_bytes(4, "little"))
        status = await connection.reader.readexactly(8)
        if status[:4] == b"OKAY":
            return
        length = min(int.from_bytes(status[4:], "little"), 4096)
        reason = (await connection.reader.readexactly(length)).decode("utf-8", "replace")
    except (OSError, EOFError) as error:
        raise DeviceGoneError(f"the link to {serial} broke while the build was copied") from error
    raise AdbError(f"{serial} did not take the build's file: {reason}", reason="install_storage")
