"""The client library's connection, with the behaviour that qgjob needs changed."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import ssl
from collections.abc import AsyncGenerator
from typing import Any, Final

from nats.aio.client import Client as NatsClient
from nats.aio.subscription import Subscription
from nats.aio.transport import Transport, WebSocketTransport
from nats.errors import (
    ConnectionClosedError,
    ConnectionDrainingError,
    OutboundBufferLimitError,
    UnexpectedEOF,
)
from nats.errors import Error as NatsError

from qgjob.bus.credentials import Renewed, User
from qgjob.errors import UnreachableError

_LOST: Final = (ConnectionClosedError, ConnectionDrainingError, OutboundBufferLimitError)

_FLUSH_S: Final = 2
_LONGEST_S: Final = 5.0
_KEPT_S: Final = 10.0
"""How long a message waits for a server that is away: whoever sent it asks again, or says something newer."""


class NoTlsError(NatsError):
    """TLS was asked for, and the server has none."""


class LostConnectionError(UnreachableError, NatsError):
    """The connection has ended, or takes nothing more while the server is away."""

    def __init__(self, error: NatsError) -> None:
        super().__init__(
            f"The connection to the server was lost: {error}.", hint="`qgjob doctor` looks at it."
        )


class Connection(NatsClient):
    """The client library's, with eight changes.

    It comes back from whatever a server says before it ends a connection. It leaves nothing open of one that
    is lost, refused or given up, and waits for no server when it is closed. It never goes on without TLS
    where that was asked for, and reads its files again for each connection. A server that was away for long
    is not sent all that nobody waits for any more. Whoever speaks to a connection that has ended is told so
    by an error of ours. It reads headers faster: every message of a backlog has some.
    """

    def __init__(self, connect_timeout_s: float) -> None:
        super().__init__()
        self._connect_timeout_s = connect_timeout_s
        self._again_s = 0.0
        self._sent_at: list[float] = []
        """When each message was sent that waits for the server."""

    async def connect(self, *args: Any, **options: Any) -> None:
        """Connect; no step takes longer than the timeout, and a cancel ends it."""
        # None: the library's `asyncio.wait_for` loses, in Python 3.11, a cancel that comes with an answer.
        self._again_s = options["reconnect_time_wait"]
        await super().connect(*args, **options, connect_timeout=None)  # pyright: ignore[reportArgumentType]

    async def subscribe(self, *args: Any, **options: Any) -> Subscription:
        """Subscribe; raises `LostConnectionError`."""
        try:
            return await super().subscribe(*args, **options)
        except _LOST as error:
            raise LostConnectionError(error) from error

    async def publish(self, *args: Any, **options: Any) -> None:
        """Publish; raises `LostConnectionError`."""
        try:
            await super().publish(*args, **options)
        except _LOST as error:
            raise LostConnectionError(error) from error

    async def close(self) -> None:
        """Send what is buffered, if the server takes it soon, and close."""
        if self.is_connected:
            with contextlib.suppress(Exception):  # going away: whatever it says, we close
                async with asyncio.timeout(_FLUSH_S):
                    await self.flush()
        if (task := self._reconnection_task) is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._hang_up()
        await super().close()

    async def _send_command(self, cmd: bytes, priority: bool = False) -> None:
        if not self.is_connected:
            self._forget_old()
            self._sent_at.append(asyncio.get_running_loop().time())
        await super()._send_command(cmd, priority)

    def _forget_old(self) -> None:
        old = bisect.bisect_left(self._sent_at, asyncio.get_running_loop().time() - _KEPT_S)
        self._pending_data_size -= sum(map(len, self._pending[:old]))
        del self._pending[:old], self._sent_at[:old]

    async def _attempt_reconnect(self) -> None:
        await self._hang_up()
        self._sent_at = [asyncio.get_running_loop().time()] * len(self._pending)
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Any) -> None:
        await self._hang_up()  # the one before may have taken us, and not have answered from then on
        async with self._attempt():
            await super()._connect_to_server(s)

    async def _process_connect_init(self) -> None:
        try:
            async with self._attempt():
                await super()._process_connect_init()
                if not self.is_connected:  # the end came in place of an answer
                    raise UnexpectedEOF
        except (NatsError, OSError) as error:
            # Passwords are expensive to check: a server that lets nobody in is tried less and less often.
            if not isinstance(error, TimeoutError):
                longer = min(2 * self.options["reconnect_time_wait"], _LONGEST_S)
                self.options["reconnect_time_wait"] = longer
            raise
        self.options["reconnect_time_wait"] = self._again_s
        self._forget_old()
        self._sent_at.clear()

    @contextlib.asynccontextmanager
    async def _attempt(self) -> AsyncGenerator[None]:
        """A step on the way to a connection."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                yield
        except BaseException:  # also a cancel
            await self._hang_up()
            raise

    async def _hang_up(self) -> None:
        """Leave nothing of the present connection: neither its socket nor the tasks that read and write.

        At once: a close would wait until a server that is gone has taken what was sent.
        """
        tasks: list[asyncio.Task[None] | None]
        tasks = [self._reading_task, self._ping_interval_task, self._flusher_task]
        for task in tasks:
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        transport, self._transport = self._transport, None
        if isinstance(transport, WebSocketTransport):
            await _end_web_socket(transport)
        elif writer := _writer(transport):
            writer.transport.abort()

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The TLS context, read again for each connection."""
        tls: Renewed[ssl.SSLContext] | None = self.options.get("tls")
        return tls() if tls is not None else super().ssl_context

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """The library would do as the server says, and show a token to whoever stands between."""
        scheme = self._current_server.uri.scheme if self._current_server else ""
        asked_for = scheme == "tls" or ("tls" in self.options and scheme not in {"ws", "wss"})
        if initial_connection and asked_for and not info.get("tls_required"):
            if not info.get("tls_available"):
                raise NoTlsError
            info["tls_required"] = True
        await super()._process_info(info, initial_connection=initial_connection)

    async def _process_err(self, err_msg: str) -> None:
        """The library would close for good, and a service live on without a connection.

        Credentials that have expired are renewed, and a server that was told of too few lets us in again.
        """
        text = err_msg.strip("'")
        if self.is_connected and "permissions violation" not in text.lower():
            error = NatsError(f"nats: {text}")
            await self._error_cb(error)
            await self._process_op_err(error)
        else:
            await super()._process_err(err_msg)

    def _connect_command(self) -> bytes:
        """What goes first over an encrypted connection; a server may refuse it and hang up at once."""
        self._mark_tls()
        self._show_credentials()
        return super()._connect_command()

    def _show_credentials(self) -> None:
        """As they are now; the library would never try again after a file that it cannot read."""
        read: Any = self._user_credentials
        if read is not None:
            user: User = read()
            jwt = user.jwt
            self._user_jwt_cb = (lambda: jwt) if jwt else None
            self._public_nkey = None if jwt else user.public
            self._signature_cb = user.sign

    def _mark_tls(self) -> None:
        """The library does not, and each command would end with a warning of asyncio's about that."""
        writer = _writer(self._transport)
        if writer is not None and writer.get_extra_info("ssl_object") is not None:
            setattr(writer.transport.get_protocol(), "_over_ssl", True)  # noqa: B010  (asyncio's own name)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            words = name.split()
            if colon and len(words) == 1 and words[0].isascii():  # else it is no header
                headers[words[0].decode()] = value.strip().decode("utf-8", "replace")
        return headers


def _writer(transport: Transport | None) -> asyncio.StreamWriter | None:
    return getattr(transport, "_io_writer", None)


async def _end_web_socket(transport: WebSocketTransport) -> None:
    opened: Any = getattr(transport, "_ws", None)
    if opened is not None and (below := opened._conn.transport) is not None:  # noqa: SLF001  (aiohttp's own)
        below.abort()
    session: Any = getattr(transport, "_client", None)
    await session.close()
