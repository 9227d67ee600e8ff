"""Limits slow clients: how long a request may take to arrive, as connections and memory are not for free.

uvicorn has a limit for the time between two requests alone.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_WITHIN_S: Final = 20.0
"""From a connection, or the first byte of a request, to the end of its headers."""
MAX_HEADER_BYTES: Final = 256 * 1024
"""The headers of a request; what is read at once with them counts as well."""
BODY_BEGINS_WITHIN_S: Final = 30.0
"""What a body may take beyond the time that the slowest link needs for what came of it."""
SLOWEST_BYTES_S: Final = 8 * 1024


class TimelyProtocol(HttpToolsProtocol):
    """Closes a connection on which no request comes, or not all of its headers, or no end of them."""

    _due: asyncio.TimerHandle | None = None
    _unread: int | None = 0
    """Bytes of headers that are not complete; None within a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Read on; what belongs to no request, or to one that was answered, is no sign of life."""
        if self.cycle is None or self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison]
            self._start_timer()
        if self._unread is not None:
            self._unread += len(data)
        super().data_received(data)
        if (self._unread or 0) > MAX_HEADER_BYTES:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Begin to answer: from here on a body has its own limits."""
        self._unread = None
        self._cancel_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Read the headers of another request."""
        self._unread = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._cancel_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(HEADERS_WITHIN_S, self.transport.close)

    def _cancel_timer(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


def in_time(receive: Receive) -> Receive:
    """Receive a body as long as it gets on; else 408, and the connection is closed."""
    now = asyncio.get_running_loop().time
    began: float | None = None
    size = 0
    whole = False

    async def timed() -> Message:
        nonlocal began, size, whole
        if whole:  # now only wait for the caller to disconnect
            return await receive()
        began = now() if began is None else began
        try:
            async with asyncio.timeout_at(began + BODY_BEGINS_WITHIN_S + size / SLOWEST_BYTES_S):
                message = await receive()
        except TimeoutError:
            raise HTTPException(
                408, "The body of the request comes too slowly.", {"Connection": "close"}
            ) from None
        body: Any = message.get("body", b"")
        size += len(body)
        whole = not message.get("more_body", False)
        return message

    return timed
