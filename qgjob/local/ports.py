"""Free TCP ports on this machine."""

from __future__ import annotations

import random
import socket

from qgjob.errors import QgjobError

# Below what Linux (from 32768) and macOS (from 49152) give to outgoing connections: a port
# picked here is still free when the server binds it, and when it binds it again after a crash.
_FIRST, _LAST = 10240, 32767
_TRIES = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        # As the servers do: a port in TIME_WAIT counts as free.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    # On BSD and macOS that bind succeeds beside a server that listens on all addresses.
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        return sock.connect_ex((host, port)) != 0


def free_port(host: str = "127.0.0.1", *, prefer: int | None = None) -> int:
    """Return `prefer` when it is free, else any free port outside the ephemeral range.

    Raises QgjobError when none of many tried ports is free.
    """
    if prefer is not None and is_free(prefer, host):
        return prefer
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)  # noqa: S311  (not a secret)
        if is_free(port, host):
            return port
    raise QgjobError(f"No free port was found on {host}.")
