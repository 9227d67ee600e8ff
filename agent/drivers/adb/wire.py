"""The adb server's socket protocol: a service by name, `OKAY` or `FAIL`, then what the service sends.

Every request is four hexadecimal digits of length and the service's name; so are answers and reasons of
failure. After `host:transport:SERIAL` the connection belongs to that device.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from agent.drivers.adb.errors import AdbError, AdbServerError, DeviceGoneError, DeviceSilentError
from qgjob.domain.wording import show_size

HOST: Final = "127.0.0.1"
MAX_OUTPUT_BYTES: Final = 8 * 2**20
_CHUNK: Final = 64 * 1024
_STDOUT, _STDERR, _EXIT = 1, 2, 3


class Shell(NamedTuple):
    """The result of a command on a device."""

    code: int
    output: str
    error: str = ""


class Connection:
    """One connection to the adb server; a service owns it until it ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whose: str) -> None:
        self.reader = reader
        self.writer = writer
        self._whose = whose

    async def ask(self, service: str) -> None:
        """Start a service. Raises `DeviceGoneError` or `AdbError` when it is refused."""
        name = service.encode()
        try:
            self.writer.write(b"%04x" % len(name) + name)
            status = await self.reader.readexactly(4)
            if status == b"OKAY":
                return
            reason = (await self.block()).decode("utf-8", "replace") if status == b"FAIL" else repr(status)
        except (OSError, EOFError) as error:
            raise AdbServerError(f"the adb server hung up: {error}") from error
        raise refusal(self._whose, service, reason)

    async def block(self) -> bytes:
        """Bytes with their length before them."""
        digits = await self.reader.readexactly(4)
        try:
            length = int(digits, 16)
        except ValueError:
            raise AdbError(f"the adb server speaks another protocol: {digits!r}") from None
        return await self.reader.readexactly(length)

    async def rest(self, limit: int = MAX_OUTPUT_BYTES) -> bytes:
        """All until the service ends. Raises `DeviceSilentError` for more than `limit` bytes."""
        parts: list[bytes] = []
        size = 0
        try:
            while piece := await self.reader.read(_CHUNK):
                parts.append(piece)
                if (size := size + len(piece)) > limit:
                    raise DeviceSilentError(f"{self._whose} answers with more than {show_size(limit)}")
        except OSError as error:
            raise DeviceGoneError(f"the link to {self._whose} broke: {error}") from error
        return b"".join(parts)

    async def shell(self) -> Shell:
        """The output of a `shell,v2` service, to its end. Raises `DeviceGoneError` when the link breaks."""
        parts = {_STDOUT: bytearray(), _STDERR: bytearray()}
        try:
            while True:
                head = await self.reader.readexactly(5)
                kind, length = head[0], int.from_bytes(head[1:], "little")
                if length > MAX_OUTPUT_BYTES or sum(map(len, parts.values())) > MAX_OUTPUT_BYTES:
                    raise DeviceSilentError(f"{self._whose} answers with nonsense: {length} bytes at once")
                data = await self.reader.readexactly(length)
                if kind == _EXIT:
                    code = data[0] if data else 255
                    return Shell(code, *(part.decode("utf-8", "replace") for part in parts.values()))
                if kind in parts:
                    parts[kind] += data
        except (OSError, EOFError) as error:
            raise DeviceGoneError(f"the link to {self._whose} broke within a command") from error


@contextlib.asynccontextmanager
async def connected(port: int, whose: str = "the adb server") -> AsyncGenerator[Connection]:
    """A connection to the adb server, closed after the block. Raises `AdbServerError`."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError as error:
        raise AdbServerError(f"no adb server answers on port {port}") from error
    try:
        yield Connection(reader, writer, whose)
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def deadline(seconds: float, what: str) -> AsyncGenerator[None]:
    """Raise `DeviceSilentError` when the block takes longer; `what` begins the sentence."""
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        raise DeviceSilentError(f"{what} did not answer within {seconds:g} s") from None


def refusal(whose: str, service: str, reason: str) -> AdbError:
    """The error that the server's words mean."""
    text = " ".join(reason.split())[:300]
    gone = ("not found", "offline", "unauthorized", "no devices", "connecting", "authorizing")
    if any(word in text for word in gone):
        return DeviceGoneError(f"{whose} cannot be reached: {text}")
    if text == "closed":
        return DeviceGoneError(f"{whose} closed the connection for {service.split(':', 1)[0]}")
    return AdbError(f"adb refused {service[:80]!r} for {whose}: {text}")
