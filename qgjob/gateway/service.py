"""The gateway as a process: a client, a server for HTTP, and an end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import uvicorn

from qgjob.callers import is_loopback, listening_at
from qgjob.client import ServerOptions, open_client
from qgjob.errors import UsageError
from qgjob.gateway.app import make_app
from qgjob.gateway.guard import Guard

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
        config = uvicorn.Config(
            Guard(make_app(client), options.token),
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
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            server.should_exit = True
            await serving
