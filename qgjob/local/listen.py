"""Where NATS listens when other machines are to join, and what it asks them for."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from qgjob.callers import LOOPBACK, place_of
from qgjob.errors import UsageError
from qgjob.tokenfile import read_token_file


@dataclass(frozen=True, slots=True)
class Listen:
    """Loopback without a token is the default; anything else asks for one."""

    host: str = LOOPBACK
    port: int | None = None
    token_file: Path | None = None

    @property
    def token(self) -> str | None:
        """The token, read anew; raises `UsageError` when its file cannot be used."""
        return read_token_file(self.token_file) if self.token_file else None

    @property
    def reached_at(self) -> str:
        """The address at which this machine itself reaches it."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host
        if address.is_unspecified:
            return "::1" if address.version == 6 else LOOPBACK
        return self.host

    @property
    def shown(self) -> str:
        """The host as other machines name it."""
        return socket.gethostname() if self.reached_at != self.host else self.host


def listen_at(address: str | None, token_file: Path | None, port: int | None) -> Listen:
    """Read `--listen HOST[:PORT]`, `--token FILE` and `--port`.

    Raises `UsageError` when they contradict each other, when the token cannot be used, and when other
    machines could reach it without one.
    """
    host, port = place_of(address.removeprefix("nats://") if address else None, port)
    listen = Listen(host, port, token_file.expanduser().absolute() if token_file else None)
    loopback = _is_loopback(host)
    if listen.token is None and not loopback:
        raise UsageError(
            f"--listen {address} without a token would let everybody on the network run programs here.",
            hint="Make a token and give its file: (umask 077; python3 -c 'import secrets; "
            "print(secrets.token_urlsafe(32))' > qgjob.token), then --token qgjob.token.",
        )
    return listen


def url(host: str, port: int) -> str:
    """The address of a NATS server."""
    return f"nats://[{host}]:{port}" if ":" in host else f"nats://{host}:{port}"


def config_with_token(plain: Path, token: str, folder: Path) -> Path:
    """Write the server's configuration with a token in it, for this user alone; on no command line."""
    path = folder / "nats-token.conf"
    draft = folder / ".nats-token.conf"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  (opened without following links)
        file.write(plain.read_text(encoding="utf-8"))
        file.write(f'\nauthorization {{ token: "{token}" }}\n')
    draft.replace(path)
    return path


def _is_loopback(host: str) -> bool:
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise UsageError(
            f"--listen {host}: this machine knows no such address.",
            hint="Name an address of this machine, or 0.0.0.0 for all of them.",
        ) from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)
