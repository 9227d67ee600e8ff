"""The gateway as a process: a client, a server for HTTP, and an end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Final

import uvicorn

from qgjob.callers import is_loopback, listening_at
from qgjob.client import Client, ServerOptions, open_client
from qgjob.clock import SystemClock
from qgjob.errors import QgjobError, UsageError
from qgjob.gateway.app import NEVER_LIMITED, make_app
from qgjob.gateway.gates import Gate, Gates
from qgjob.gateway.guard import Guard
from qgjob.gateway.limitoptions import HttpLimits
from qgjob.gateway.tempo import TimelyProtocol
from qgjob.gateway.throttle import Throttle

log = logging.getLogger(__name__)

DEFAULT_PORT: Final = 3000
_LAST_ANSWERS_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """Where it listens, and whom it lets in."""

    server: ServerOptions
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    """What callers must send as their bearer token; needed unless it listens on loopback alone."""
    limits: HttpLimits = field(default_factory=HttpLimits)
    proxies: Sequence[str] = ()
    """Addresses and networks of proxies that are believed when they say for whom they ask."""


class _Server(uvicorn.Server):
    """Leaves the signals to us, and says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: asyncio.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def run_gateway(options: GatewayOptions, *, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Serve until `stop` is set; `ready` is set when it listens.

    Raises `UsageError` (an address beyond loopback without a token), `RefusedError` (the port is
    taken) or what connecting raises.
    """
    if options.token is None and not is_loopback(options.host):
        raise UsageError(
            f"The gateway would be open to everybody at {options.host}: give it a token.",
            hint="Write a secret into a file and name it with --token FILE.",
        )
    listening = listening_at(options.host, options.port, "The gateway")
    async with open_client(options.server) as client:
        clock = SystemClock()
        gates = Gates(
            Gate("requests", options.limits.requests, clock), Gate("jobs", options.limits.jobs, clock)
        )
        config = uvicorn.Config(
            Guard(Throttle(make_app(client, gates), gates.requests, NEVER_LIMITED), options.token),
            http=TimelyProtocol,
            # For every caller: otherwise anybody on this machine could ask in another's name.
            proxy_headers=bool(options.proxies),
            forwarded_allow_ips=list(options.proxies),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        server = _Server(config, ready)
        log.info("listening at http://%s:%d", options.host, listening.getsockname()[1])
        serving = asyncio.create_task(server.serve([listening]), name="http")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        looking = asyncio.create_task(_look(client), name="whether a scheduler answers")
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            looking.cancel()
            server.should_exit = True
            await serving


async def _look(client: Client) -> None:
    """Say at the start why callers will get no answers; each of them is told as well."""
    try:
        await client.overview()
    except QgjobError as error:
        log.warning("%s", " ".join(filter(None, (error.message, error.hint))))
