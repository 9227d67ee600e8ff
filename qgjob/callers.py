"""Which HTTP requests are accepted: shared by the gateway and the dashboard in a browser.

Without a token a server is for this machine alone. A web page that the machine's user happens to
look at can send requests to it too; so a request with a foreign `Origin`, or (against DNS rebinding)
for another host than this one, is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from qgjob.errors import RefusedError, UsageError

LOOPBACK: Final = "127.0.0.1"
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_BACKLOG: Final = 1024


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether a request comes from a page of another site; `origin` and `host` are its headers."""
    try:
        return origin is not None and urlsplit(origin).netloc != host
    except ValueError:
        return True


def is_for_this_machine(host: str) -> bool:
    """Whether the `Host` header names this machine, as only somebody on it would."""
    try:
        return urlsplit(f"//{host}").hostname in _LOCAL
    except ValueError:
        return False


def same_secret(given: str, secret: str) -> bool:
    """Compare in constant time, which does not even tell the length."""
    digests = (hashlib.sha256(text.encode()).digest() for text in (given, secret))
    return hmac.compare_digest(*digests)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def place_of(address: str | None, port: int | None) -> tuple[str, int | None]:
    """The host and port to listen at, of `--listen`, `HOST` or `HOST:PORT`, and `--port`.

    Without an address it is loopback. Raises `UsageError` for one that is none, or with another port.
    """
    if not address:
        return LOOPBACK, port
    host, said = _split(address)
    if None not in {said, port} and said != port:
        raise UsageError(f"--listen says port {said} and --port says {port}.", hint="Name the port once.")
    return host, port if said is None else said


def _split(address: str) -> tuple[str, int | None]:
    text = address.strip()
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
    if not host or (colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536)):
        raise UsageError(
            f"--listen {address!r} is no address to listen at.",
            hint="Write HOST or HOST:PORT, such as 0.0.0.0.",
        )
    return host, int(port) if port else None


def listening_at(host: str, port: int, who: str) -> socket.socket:
    """A socket that listens there; raises `RefusedError` in the name of `who` when that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise RefusedError(
            f"{who} cannot listen at {host}:{port}: {error.strerror or error}.",
            hint="Name another port with --port, or stop what has this one.",
        ) from None
    listening.listen(_BACKLOG)
    return listening
