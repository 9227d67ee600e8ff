"""The client library's connection, with the behaviour that qgjob needs changed."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.errors import Error as NatsError

from qgjob.bus.credentials import Renewed, User


class NoTlsError(NatsError):
    """TLS was asked for, and the server has none."""


class Connection(NatsClient):
    """The client library's, with five changes.

    It comes back from whatever a server says before it ends a connection, and closes those that were refused.
    It never goes on without TLS where that was asked for, and reads its files again for each connection. It
    reads headers faster: every message of a backlog has some.
    """

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

    async def _process_connect_init(self) -> None:
        try:
            await super()._process_connect_init()
        except BaseException:  # also a cancel: the library would leave the socket open
            if self._transport is not None:
                self._transport.close()
                # After a failed TLS handshake the transport never reports its end: a close would hang.
                self._transport = None
            raise

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
        writer: asyncio.StreamWriter | None = getattr(self._transport, "_io_writer", None)
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
