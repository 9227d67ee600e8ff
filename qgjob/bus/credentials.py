"""The files of a connection: credentials, and TLS certificates of both sides.

Services live for longer than tokens and certificates: each new connection reads the files anew.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from qgjob.errors import UsageError

T = TypeVar("T")

log = logging.getLogger(__name__)


class Renewed(Generic[T]):
    """A value read from files: as they are now, or the last good one while they cannot be used."""

    def __init__(self, last: T, read: Callable[[], T | None]) -> None:
        self._last = last
        self._read = read

    def __call__(self) -> T:
        """Read it again."""
        try:
            self._last = self._read() or self._last
        except UsageError as error:
            log.warning("%s What was read before is used.", error.message)
        return self._last


def _existing(path: str, what: str) -> str:
    if not Path(path).expanduser().is_file():
        raise UsageError(
            f"The {what} file {path} does not exist.", hint="`qgjob config show` says where it was named."
        )
    return str(Path(path).expanduser())


def credentials_file(path: str) -> str:
    """The name of a file that holds a user's JWT and seed, as far as can be seen; raises `UsageError`."""
    name = _existing(path, "credentials")
    try:
        text = Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"The credentials file {path} cannot be read: {error.strerror}.") from None
    if b"BEGIN NATS USER JWT" not in text or b"BEGIN USER NKEY SEED" not in text:
        raise UsageError(
            f"The file {path} holds no NATS credentials.",
            hint="They are a user's JWT and its seed, as `nsc generate creds` writes them.",
        )
    return name


def tls_context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """How to check the server, by the CA's file, and what to show it; None when no file is named.

    Raises `UsageError` for files that cannot be used.
    """
    if key and not cert:
        raise UsageError(f"The key {key} is of no certificate.", hint="Name it with --tls-cert.")
    if not (ca or cert):
        return None
    try:
        context = ssl.create_default_context(cafile=_existing(ca, "CA") if ca else None)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"The CA file {ca} cannot be used: {error.strerror or error}.") from error
    if cert:
        try:
            context.load_cert_chain(
                _existing(cert, "certificate"),
                _existing(key, "key") if key else None,
            )
        except (ssl.SSLError, OSError) as error:
            raise UsageError(f"The certificate {cert} cannot be used: {error}.") from error
    return context
