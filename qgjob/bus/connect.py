"""Connect to NATS, and say in one sentence why it does not work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nats.aio import transport
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError

from qgjob.bus.account import USER_INFO, user_of
from qgjob.bus.connection import Connection, NoTlsError
from qgjob.bus.credentials import Renewed, credentials, tls_context
from qgjob.bus.denial import Denial
from qgjob.bus.requester import Requester
from qgjob.bus.unreachable import cause_of, explain
from qgjob.config import ServerOptions, shown_server
from qgjob.errors import UnreachableError, UsageError
from qgjob.tokenfile import read_token_file

log = logging.getLogger(__name__)

MIN_SERVER = (2, 14)
_PING_INTERVAL_S = 5
_SAY_AFTER_S = 3.0
_SAY_EVERY_S = 60.0
_RECONNECT_WAIT_S = 0.25
_REFUSALS = 3
"""A server that refuses our credentials so often will not learn to like them."""
_PENDING_BYTES = 64 * 2**20


@dataclass(slots=True)
class Bus:
    """A connection with its request mechanism; made by `open_bus`."""

    nc: NatsClient
    requests: Requester
    server_version: str
    max_payload: int
    denied: list[str] = field(default_factory=list[str])
    """Permission errors, which the server reports beside the call that caused them."""
    reconnects: int = 0
    on_reconnect: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    on_disconnect: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    on_denied: list[Callable[[Denial], None]] = field(default_factory=list[Callable[[Denial], None]])
    on_slow: list[Callable[[str], None]] = field(default_factory=list[Callable[[str], None]])
    """Told in a sentence whom a request waits for that takes long."""
    answers_within_s: float = math.inf
    """How long a scheduler may be silent to a request before it is given up, where that would be longer."""

    @property
    def connected(self) -> bool:
        """Whether the connection is up now."""
        return self.nc.is_connected

    @property
    def clustered(self) -> bool:
        """Whether the server is one of a cluster."""
        return "cluster" in self.nc._server_info  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # said nowhere else

    @contextlib.asynccontextmanager
    async def subscribed(
        self, subject: str, handle: Callable[[Msg], Awaitable[None]], *, queue: str = ""
    ) -> AsyncGenerator[None]:
        """Have `handle` called with each message on a subject, for the time of a block."""
        subscription = await self.nc.subscribe(subject, queue=queue, cb=handle)
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # a lost connection may be what ended the block
                await subscription.unsubscribe()

    async def close(self) -> None:
        """Send what is buffered and close."""
        await self.requests.close()
        # In its own task: the library cannot tell its own cancel, at a lost connection, from ours.
        closing = asyncio.ensure_future(self.nc.close())
        await asyncio.wait({closing})
        if not closing.cancelled():
            closing.exception()


@contextlib.asynccontextmanager
async def open_bus(options: ServerOptions) -> AsyncGenerator[Bus]:
    """A connection for the time of a block; see `connect`."""
    bus = await connect(options)
    try:
        yield bus
    finally:
        await bus.close()


class _Callbacks:
    """The client library's callbacks for a connection: errors, disconnects, reconnects."""

    def __init__(self, options: ServerOptions, servers: int) -> None:
        self._options = options
        self._servers = servers
        self._where = shown_server(options.url)
        self._refused_again = False
        self._user: asyncio.Future[str | None] | None = None
        self.errors: list[BaseException] = []
        """The latest."""
        self.failed = asyncio.Event()
        """It will not come about."""
        self.bus: Bus | None = None
        """Once it was made."""

    async def error(self, error: Exception) -> None:
        """Called on an error, or when the server refused something."""
        self.errors.append(error)
        del self.errors[:-20]
        patient, text = self._options.wait_for_server, str(error).lower()
        if self.bus is None:
            refused = sum("authorization" in str(each).lower() for each in self.errors)
            if refused >= _REFUSALS * self._servers or (not patient and len(self.errors) >= self._servers):
                self.failed.set()
        elif "permissions violation" in text:
            self.bus.denied.append(str(error))
            del self.bus.denied[:-100]
            self._tell_denied(self.bus, str(error))
        elif _is_callback_error(error):
            log.error("a message could not be dealt with", exc_info=error)
        elif isinstance(error, SlowConsumerError):
            log.warning("too much has come to be read, the rest is lost: %s", error)
        else:
            refused = patient and ("authorization" in text or isinstance(error, ssl.SSLError | NoTlsError))
            level = logging.WARNING if refused and not self._refused_again else logging.DEBUG
            self._refused_again = self._refused_again or refused
            log.log(level, "connection to %s: %s", self._where, error)

    def _tell_denied(self, bus: Bus, text: str) -> None:
        """Tell who waits for an answer, once it is known whose credentials these are."""

        def tell(user: str | None) -> None:
            denial = Denial(text, user)
            bus.requests.denied(denial)
            for told in tuple(bus.on_denied):
                told(denial)

        if Denial(text).names(USER_INFO):  # that may be denied as well
            tell(None)
            return
        if self._user is None:
            self._user = asyncio.ensure_future(user_of(bus))
        self._user.add_done_callback(lambda found: tell(None if found.cancelled() else found.result()))

    async def reconnected(self) -> None:
        """Called when the connection is up again, maybe to another server."""
        if self.bus is None:
            return
        self.bus.reconnects += 1
        self._user = None
        self._refused_again = False
        at = self.bus.nc.connected_url
        log.info("reconnected to %s", at.netloc.rpartition("@")[2] if at else self._where)
        for callback in tuple(self.bus.on_reconnect):
            callback()

    async def disconnected(self) -> None:
        """Called when the connection is lost; the library tries again."""
        if self.bus is None:
            return
        if self._options.wait_for_server and self.bus.nc.is_reconnecting:  # a service: no command, no screen
            log.warning("the connection to %s is lost; trying again", self._where)
        for callback in tuple(self.bus.on_disconnect):
            callback()


def _is_callback_error(error: Exception) -> bool:
    """Whether a message callback raised the error: the library passes it to nobody else, and reads on."""
    trace = error.__traceback__
    reading = trace is not None and trace.tb_frame.f_code.co_name == "_wait_for_msgs"
    return reading and not isinstance(error, NatsError | OSError)


async def connect(options: ServerOptions) -> Bus:
    """Connect and check the server.

    Raises `UnreachableError` (nothing answers, no JetStream, a server before 2.14),
    `NotAllowedError` (credentials refused) or `UsageError` (an address or file that cannot be).
    """
    urls = [_checked_url(url) for url in options.url.split(",")]
    if (options.tls_ca or options.tls_cert) and any(url.startswith("ws://") for url in urls):
        raise UsageError(
            f"An address with ws:// has no TLS, which the --tls files ask for: {shown_server(options.url)}.",
            hint="Write wss://, or leave these files out.",
        )
    told = _Callbacks(options, len(urls))
    arguments = _arguments(options, urls, told)
    given = bool(options.creds or options.token or any(urlsplit(url).username for url in urls))
    nc = Connection(options.connect_timeout_s)
    task = asyncio.ensure_future(nc.connect(**arguments))
    watch = asyncio.ensure_future(told.failed.wait())
    try:
        if task not in await _first_of({task, watch}, options, told.errors):
            last = told.errors[-1] if told.errors else TimeoutError()
            raise explain(cause_of(last, nc, given), options.url)
        try:
            task.result()
        except Exception as error:  # whatever the library raises becomes a sentence
            raise explain(cause_of(error, nc, given), options.url) from error
        version = _checked_version(nc, options)
        requests = Requester(nc)
        await requests.open()
    except BaseException:  # also a cancel: leave no attempt behind
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(Exception):
            await nc.close()
        raise
    finally:
        watch.cancel()
    told.bus = Bus(nc, requests, version, nc.max_payload)
    if options.wait_for_server:  # a service: nobody sees that the waiting is over
        log.info("connected to %s: nats-server %s", shown_server(options.url), version)
    return told.bus


def _arguments(options: ServerOptions, urls: list[str], told: _Callbacks) -> dict[str, Any]:
    """The client library's connect arguments; raises `UsageError` for files that cannot be read."""
    arguments: dict[str, Any] = {
        "servers": urls,
        "name": options.name,
        "error_cb": told.error,
        "reconnected_cb": told.reconnected,
        "disconnected_cb": told.disconnected,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": _RECONNECT_WAIT_S,
        "ping_interval": _PING_INTERVAL_S,
        "pending_size": _PENDING_BYTES,
        "skip_subject_validation": True,
    }
    if options.creds:
        read_user = partial(credentials, options.creds)
        arguments["user_credentials"] = Renewed(read_user(), read_user)
    if options.token:
        arguments["token"] = options.token
        if file := options.token_file:
            arguments["token"] = Renewed(options.token, lambda: read_token_file(Path(file)))
    read_tls = partial(tls_context, options.tls_ca, options.tls_cert, options.tls_key)
    if context := read_tls():
        arguments["tls"] = Renewed(context, read_tls)
    return arguments


def _checked_version(nc: NatsClient, options: ServerOptions) -> str:
    """The server's version; raises `UnreachableError` for one that is too old."""
    version = nc.connected_server_version
    shown = f"{version.major}.{version.minor}.{version.patch}"
    if (version.major, version.minor) < MIN_SERVER:
        raise UnreachableError(
            f"nats-server {shown} at {shown_server(options.url)} is too old: "
            f"qgjob needs {MIN_SERVER[0]}.{MIN_SERVER[1]} or later.",
            hint="Upgrade it, or run `qgjob up`, which brings its own.",
        )
    return shown


async def _first_of(
    tasks: set[asyncio.Future[Any]], options: ServerOptions, errors: list[BaseException]
) -> set[asyncio.Future[Any]]:
    """Wait for the first of the tasks; a service logs now and then that it waits for the server."""
    patience = _SAY_AFTER_S if options.wait_for_server else options.connect_timeout_s + 1
    while True:
        done, _ = await asyncio.wait(tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if done or not options.wait_for_server:
            return done
        why = f" ({errors[-1]})" if errors and str(errors[-1]) else ""
        log.warning("no NATS server answers at %s yet%s; trying on", shown_server(options.url), why)
        patience = _SAY_EVERY_S


def _checked_url(url: str) -> str:
    url = url.strip()
    if "://" not in url:
        url = f"nats://{url}"
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in {"nats", "tls", "ws", "wss"} or not parts.hostname or port == 0:
        raise UsageError(
            f"{shown_server(url)!r} is not the address of a NATS server.",
            hint="It looks like nats://host:4222 (or tls://…); several are separated by commas.",
        )
    if parts.scheme in {"ws", "wss"}:
        _import_aiohttp()
    return url


def _import_aiohttp() -> None:
    """Give nats-py the aiohttp module, whose import was skipped at start-up."""
    try:
        import aiohttp
    except ImportError:
        raise UsageError(
            "An address with ws:// needs aiohttp, which is not installed.",
            hint="Install it with pip install aiohttp, or name a nats:// address.",
        ) from None
    setattr(transport, "aiohttp", aiohttp)  # noqa: B010  (it has no such attribute to type checkers)


__all__ = ["Bus", "ServerOptions", "connect", "open_bus"]
