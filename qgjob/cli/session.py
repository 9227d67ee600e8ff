"""The global options of a call: where the server is, how to get in, how to print."""

from __future__ import annotations

import contextlib
import os
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
    """Run a command's coroutine to its end."""
    import asyncio

    return asyncio.run(main)
