"""Connect to NATS, and say in one sentence why it does not work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from nats.aio import transport
from nats.aio.client import Client as NatsClient
from nats.errors import AuthorizationError, NoServersError, UnexpectedEOF
from nats.errors import Error as NatsError

from qgjob.bus.credentials import credentials_file, tls_context
from qgjob.bus.requester import Requester
from qgjob.config import ServerOptions, shown_server
from qgjob.errors import NotAllowedError, QgjobError, UnreachableError, UsageError

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
    on_denied: list[Callable[[str], None]] = field(default_factory=list[Callable[[str], None]])
    on_slow: list[Callable[[str], None]] = field(default_factory=list[Callable[[str], None]])
    """Told in a sentence whom a request waits for that takes long."""

    @property
    def connected(self) -> bool:
        """Whether the connection is up now."""
        return self.nc.is_connected

    async def close(self) -> None:
        """Send what is buffered and close."""
        await self.requests.close()
        if self.nc.is_connected:
            with contextlib.suppress(Exception):  # going away: whatever it says, we close
                await self.nc.flush(timeout=2)
        with contextlib.suppress(Exception):
            await self.nc.close()


@contextlib.asynccontextmanager
async def open_bus(options: ServerOptions) -> AsyncGenerator[Bus]:
    """A connection for the time of a block; see `connect`."""
    bus = await connect(options)
    try:
        yield bus
    finally:
        await bus.close()


async def connect(options: ServerOptions) -> Bus:
    """Connect and check the server.

    Raises `UnreachableError` (nothing answers, no JetStream, a server before 2.14),
    `NotAllowedError` (credentials refused) or `UsageError` (an address or file that cannot be).
    """
    urls = [_checked_url(url) for url in options.url.split(",")]
    errors: list[BaseException] = []
    failed = asyncio.Event()
    bus: Bus | None = None

    where = shown_server(options.url)
    refused_again = False

    async def on_error(error: Exception) -> None:
        nonlocal refused_again
        errors.append(error)
        del errors[:-20]
        if bus is None:
            refused = sum("authorization" in str(each).lower() for each in errors)
            if refused >= _REFUSALS * len(urls) or (not options.wait_for_server and len(errors) >= len(urls)):
                failed.set()
        elif "permissions violation" in str(error).lower():
            bus.denied.append(str(error))
            del bus.denied[:-100]
            bus.requests.denied(str(error))
            for told in tuple(bus.on_denied):
                told(str(error))
        else:
            refused = options.wait_for_server and "authorization" in str(error).lower()
            level = logging.WARNING if refused and not refused_again else logging.DEBUG
            refused_again = refused_again or refused
            log.log(level, "connection to %s: %s", where, error)

    async def on_reconnected() -> None:
        nonlocal refused_again
        if bus is not None:
            bus.reconnects += 1
            refused_again = False
            at = nc.connected_url.netloc.rpartition("@")[2] if nc.connected_url else where
            log.info("reconnected to %s", at)
            for callback in tuple(bus.on_reconnect):
                callback()

    async def on_disconnected() -> None:
        if bus is not None:
            if options.wait_for_server and nc.is_reconnecting:  # a service, not a command or a screen
                log.warning("the connection to %s is lost; trying again", where)
            for callback in tuple(bus.on_disconnect):
                callback()

    arguments: dict[str, Any] = {
        "servers": urls,
        "name": options.name,
        "error_cb": on_error,
        "reconnected_cb": on_reconnected,
        "disconnected_cb": on_disconnected,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": _RECONNECT_WAIT_S,
        "ping_interval": _PING_INTERVAL_S,
        "connect_timeout": options.connect_timeout_s,
        "pending_size": _PENDING_BYTES,
        "skip_subject_validation": True,
    }
    if options.creds:
        arguments["user_credentials"] = credentials_file(options.creds)
    if options.token:
        arguments["token"] = options.token
    if context := tls_context(options.tls_ca, options.tls_cert, options.tls_key):
        arguments["tls"] = context
    given = bool(options.creds or options.token or any(urlsplit(url).username for url in urls))
    nc = _Client()
    task = asyncio.ensure_future(nc.connect(**arguments))
    watch = asyncio.ensure_future(failed.wait())
    done = await _first_of({task, watch}, options, errors)
    watch.cancel()
    try:
        if task not in done:
            task.cancel()
            with contextlib.suppress(BaseException):
                await task
            raise explain(_cause(errors[-1] if errors else TimeoutError(), nc, given), options.url)
        try:
            task.result()
        except Exception as error:  # whatever the library raises becomes a sentence
            raise explain(_cause(error, nc, given), options.url) from error
        version = nc.connected_server_version
        shown_version = f"{version.major}.{version.minor}.{version.patch}"
        if (version.major, version.minor) < MIN_SERVER:
            raise UnreachableError(
                f"nats-server {shown_version} at {where} is too old: "
                f"qgjob needs {MIN_SERVER[0]}.{MIN_SERVER[1]} or later.",
                hint="Upgrade it, or run `qgjob up`, which brings its own.",
            )
        requests = Requester(nc)
        await requests.open()
    except BaseException:
        with contextlib.suppress(Exception):
            await nc.close()
        raise
    bus = Bus(nc, requests, shown_version, nc.max_payload)
    return bus


async def _first_of(
    tasks: set[asyncio.Future[Any]], options: ServerOptions, errors: list[BaseException]
) -> set[asyncio.Future[Any]]:
    """What is done first; whoever waits for the server says so, as nobody sees it otherwise."""
    patience = _SAY_AFTER_S if options.wait_for_server else options.connect_timeout_s + 1
    while True:
        done, _ = await asyncio.wait(tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if done or not options.wait_for_server:
            return done
        why = f" ({errors[-1]})" if errors and str(errors[-1]) else ""
        log.warning("no NATS server answers at %s yet%s; trying on", shown_server(options.url), why)
        patience = _SAY_EVERY_S


class _NoTlsError(NatsError):
    """TLS was asked for, and the server has none."""


class _Client(NatsClient):
    """The client library's, with four changes.

    It comes back from whatever a server says before it ends a connection, and closes those that were refused.
    It never goes on without TLS where that was asked for. It reads headers faster: every message of a backlog
    has some.
    """

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """The library would do as the server says, and show a token to whoever stands between."""
        scheme = self._current_server.uri.scheme if self._current_server else ""
        asked_for = scheme == "tls" or ("tls" in self.options and scheme not in {"ws", "wss"})
        if initial_connection and asked_for and not info.get("tls_required"):
            if not info.get("tls_available"):
                raise _NoTlsError
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
        except BaseException:
            if self._transport is not None:
                self._transport.close()
            raise
        self._say_that_it_is_tls()

    def _say_that_it_is_tls(self) -> None:
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


def _cause(error: BaseException, nc: NatsClient, given: bool) -> BaseException:
    """Why a connection failed: one that is cut where credentials are wanted or `given` was refused them.

    A server says so before it closes the connection, but what we have just sent may reset it, and
    then its last words are lost. One that takes strangers as some user wants none, and refuses wrong ones.
    """
    info: dict[str, Any] = getattr(nc, "_server_info", None) or {}
    cut = isinstance(error, ConnectionResetError | BrokenPipeError | UnexpectedEOF)
    return AuthorizationError() if cut and info and (given or info.get("auth_required")) else error


def explain(error: BaseException, url: str) -> QgjobError:
    """The sentence for a failure to connect."""
    text = str(error).lower()
    shown = shown_server(url)
    if isinstance(error, AuthorizationError) or "authorization" in text or "authentication" in text:
        return NotAllowedError(
            f"The server at {shown} refused the credentials.",
            hint="Check --creds (QGJOB_CREDS) or the token (QGJOB_TOKEN), and that they are this server's.",
        )
    if isinstance(error, _NoTlsError):
        return UnreachableError(
            f"The server at {shown} speaks no TLS, which was asked for.",
            hint="tls:// and the --tls files ask for it: leave them out, or see `tls` in nats.conf.",
        )
    if isinstance(error, ssl.SSLError) or "tls" in text or "certificate" in text:
        return UnreachableError(
            f"No TLS connection to {shown}: {error}.", hint="Check the CA file and the server's name."
        )
    if isinstance(error, ConnectionRefusedError) or "connect call failed" in text:
        return UnreachableError(
            f"Nothing listens at {shown}.",
            hint="Start the system with `qgjob up`, or name a server with --server (or QGJOB_SERVER).",
        )
    if isinstance(error, TimeoutError | NoServersError | asyncio.TimeoutError):
        return UnreachableError(f"No answer from {shown} in time.", hint="Check the address and the network.")
    return UnreachableError(
        f"Cannot connect to {shown}: {error or type(error).__name__}.",
        hint="Is it a NATS server, and in order? Its log may say more.",
    )


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
        _bring_web_sockets()
    return url


def _bring_web_sockets() -> None:
    """Let nats-py have what it needs for them, which it was kept from importing by itself."""
    try:
        import aiohttp
    except ImportError:
        raise UsageError(
            "An address with ws:// needs aiohttp, which is not installed.",
            hint="Install it with pip install aiohttp, or name a nats:// address.",
        ) from None
    setattr(transport, "aiohttp", aiohttp)  # noqa: B010  (it has no such attribute to type checkers)


__all__ = ["Bus", "ServerOptions", "connect", "explain", "open_bus"]
