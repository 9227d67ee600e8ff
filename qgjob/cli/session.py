"""The global options of a call: where the server is, how to get in, how to print."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from qgjob.cli.display.output import Output

if TYPE_CHECKING:
    import typer

    from qgjob.client import Client
    from qgjob.config import ServerOptions

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The global options of one call."""

    server: str | None = None
    creds: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    out: Output = field(default_factory=Output)

    def server_options(self, name: str = "qgjob cli") -> ServerOptions:
        """Where to connect; see `qgjob.connecting`."""
        from qgjob.connecting import server_options

        return server_options(self.global_options(), os.environ, name=name)

    def global_options(self) -> dict[str, str]:
        """The server options that the command line or the environment set."""
        options = {
            "server": self.server,
            "creds": self.creds,
            "tls_ca": self.tls_ca,
            "tls_cert": self.tls_cert,
            "tls_key": self.tls_key,
        }
        return {name: value for name, value in options.items() if value}

    @contextlib.asynccontextmanager
    async def client(self, *, note_slow: bool = True) -> AsyncGenerator[Client]:
        """A connected client; `note_slow`: note once on stderr who an answer is waited for from."""
        from qgjob.client import open_client

        noted: set[str] = set()

        def note_once(sentence: str) -> None:
            if sentence not in noted:
                noted.add(sentence)
                self.out.note(sentence)

        async with open_client(self.server_options()) as client:
            if note_slow:
                client.bus.on_slow.append(note_once)
            yield client


def session_of(ctx: typer.Context) -> Session:
    """The session of a command's context."""
    session = ctx.find_object(Session)
    return session if session is not None else Session()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end.

    A SIGTERM, unless somebody else takes it, cancels it like a Ctrl-C, so that it leaves no file behind; then
    the process dies of the signal all the same. A second one kills at once.
    """
    import asyncio

    terminated = False

    async def terminable() -> T:
        nonlocal terminated
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def terminate() -> None:
            nonlocal terminated
            if terminated:
                _die_of_sigterm()
            terminated = True
            if task is not None:
                task.cancel()

        main_thread = threading.current_thread() is threading.main_thread()
        if main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            loop.add_signal_handler(signal.SIGTERM, terminate)
        return await main

    try:
        return asyncio.run(terminable())
    finally:
        if terminated:
            _die_of_sigterm()


def _die_of_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
