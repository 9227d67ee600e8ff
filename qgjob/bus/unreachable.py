"""Explains in a sentence why a connection failed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.errors import AuthorizationError, NoServersError, UnexpectedEOF

from qgjob.bus.connection import NoTlsError
from qgjob.config import shown_server
from qgjob.errors import NotAllowedError, QgjobError, UnreachableError


def cause_of(error: BaseException, nc: NatsClient, given: bool) -> BaseException:
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
    if isinstance(error, NoTlsError):
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
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"The name in {shown} has no address: {error.strerror}.", hint="Check it, and the network."
        )
    if isinstance(error, TimeoutError | NoServersError | asyncio.TimeoutError):
        return UnreachableError(f"No answer from {shown} in time.", hint="Check the address and the network.")
    if "url='ws" in text:  # aiohttp's, with all that was answered
        return UnreachableError(
            f"What is at {shown} answers, but not on a WebSocket.",
            hint="The port is that of `websocket` in nats.conf; where it has TLS write wss://.",
        )
    return UnreachableError(
        f"Cannot connect to {shown}: {error or type(error).__name__}.",
        hint="Is it a NATS server, and in order? Its log may say more.",
    )
