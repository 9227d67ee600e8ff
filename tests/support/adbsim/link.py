"""A phone's end of the cable: the transport protocol, and the services that adb asks for."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from typing import Final, Self

from tests.support.adbsim.messages import MAX_DATA, VERSION, Message, read_message
from tests.support.adbsim.phone import Phone

FEATURES: Final = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir,apex,abb,fixed_push_symlink_timestamp"
_TOKEN, _RSA_PUBLIC_KEY = 1, 3


class LinkCutError(ConnectionError):
    """The phone pulls its own plug."""


class PhoneLink:
    """Serves a phone on a port of loopback. `unplug` and `plug` do what they say; the port stays the same."""

    def __init__(self, phone: Phone | None = None) -> None:
        self.phone = phone or Phone()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.phone.on_reboot = self.cut

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def plug(self) -> PhoneLink:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def unplug(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Break the connections there are; new ones are taken."""
        for connection in list(self._connections):
            connection.writer.transport.abort()

    async def __aenter__(self) -> Self:
        await self.plug()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.unplug()
        for connection in list(self._connections):
            await connection.ended.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self.phone, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run()
        except (OSError, EOFError):
            pass
        finally:
            self._connections.discard(connection)
            connection.ended.set()
            writer.close()


class Stream:
    """One service on a connection: both sides wait for each other's OKAY after every piece."""

    def __init__(self, connection: _Connection, local: int, remote: int) -> None:
        self._connection = connection
        self.local = local
        self.remote = remote
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._okay = asyncio.Event()
        self.closed = False

    def heard_okay(self) -> None:
        self._okay.set()

    def cut(self) -> None:
        """Break the whole link, as a loose cable does."""
        self._connection.writer.transport.abort()
        raise LinkCutError

    async def read(self) -> bytes:
        """The next piece; empty when the other side has closed."""
        if self.closed and self.incoming.empty():
            return b""
        piece = await self.incoming.get()
        if piece:
            self._connection.send(Message(b"OKAY", self.local, self.remote))
        return piece

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), self._connection.max_data):
            if self.closed:
                return
            self._okay.clear()
            piece = data[at : at + self._connection.max_data]
            self._connection.send(Message(b"WRTE", self.local, self.remote, piece))
            await self._okay.wait()

    async def exactly(self, buffer: bytearray, size: int) -> bytes:
        """The next `size` bytes; `buffer` keeps what was read beyond them."""
        while len(buffer) < size:
            piece = await self.read()
            if not piece:
                raise EOFError
            buffer += piece
        taken = bytes(buffer[:size])
        del buffer[:size]
        return taken


class _Connection:
    def __init__(self, phone: Phone, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.phone = phone
        self._reader = reader
        self.writer = writer
        self.max_data = 4096
        self.ended = asyncio.Event()
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 1

    def send(self, message: Message) -> None:
        self.writer.write(message.encode())

    async def run(self) -> None:
        try:
            while True:
                await self._take(await read_message(self._reader))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, message: Message) -> None:
        stream = self._streams.get(message.arg1)
        match message.command:
            case b"CNXN":
                self.max_data = min(message.arg1, MAX_DATA)
                self._greet()
            case b"AUTH":
                if message.arg0 == _RSA_PUBLIC_KEY:
                    self._wait_for_consent()
                else:
                    self._ask_for_key()  # it does not know this signature
            case b"OPEN":
                self._open(message.arg0, message.data.rstrip(b"\0").decode("utf-8", "replace"))
            case b"WRTE" if stream is not None:
                stream.incoming.put_nowait(message.data)
            case b"OKAY" if stream is not None:
                stream.heard_okay()
            case b"CLSE" if stream is not None:
                stream.closed = True
                stream.incoming.put_nowait(b"")
                stream.heard_okay()
            case _:
                pass

    def _greet(self) -> None:
        if self.phone.authorized.is_set():
            banner = f"device::ro.product.name=sim;ro.product.model={self.phone.model};features={FEATURES}"
            self.send(Message(b"CNXN", VERSION, MAX_DATA, banner.encode()))
        else:
            self._ask_for_key()

    def _ask_for_key(self) -> None:
        self.send(Message(b"AUTH", _TOKEN, 0, secrets.token_bytes(20)))

    def _wait_for_consent(self) -> None:
        async def wait() -> None:
            await self.phone.authorized.wait()
            self._greet()

        self._start(wait())

    def _open(self, remote: int, service: str) -> None:
        if not self.phone.knows(service):
            self.send(Message(b"CLSE", 0, remote))
            return
        stream = Stream(self, self._next, remote)
        self._streams[stream.local] = stream
        self._next += 1
        self.send(Message(b"OKAY", stream.local, remote))
        self._start(self._run_service(stream, service))

    async def _run_service(self, stream: Stream, service: str) -> None:
        try:
            with contextlib.suppress(EOFError, OSError):
                await self.phone.serve(service, stream)
            self.send(Message(b"CLSE", stream.local, stream.remote))
        finally:
            self._streams.pop(stream.local, None)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
