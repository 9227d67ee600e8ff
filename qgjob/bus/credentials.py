"""The files of a connection: credentials, and TLS certificates of both sides.

Services live for longer than tokens and certificates: each new connection reads the files anew.
"""

from __future__ import annotations

import base64
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from qgjob.errors import UsageError

T = TypeVar("T")

_JWT: Final = re.compile(rb"BEGIN NATS USER JWT-+\s+([\w-]+\.[\w-]+\.[\w-]+)\s")
_SEED: Final = re.compile(rb"\bSU[A-Z2-7]{56}\b")

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


@dataclass(frozen=True, slots=True)
class User:
    """Who shows a signature of the server's question: by a JWT that names the key, or by the key itself."""

    jwt: bytes | None
    seed: bytes

    @property
    def public(self) -> str:
        """The key as servers know it."""
        return bytes(self._pair().public_key).decode()

    def sign(self, nonce: str) -> bytes:
        """The signature of the server's question."""
        return base64.b64encode(self._pair().sign(nonce.encode()))

    def _pair(self) -> Any:
        import nkeys  # pyright: ignore[reportMissingTypeStubs]

        return nkeys.from_seed(bytearray(self.seed))


def credentials(path: str) -> User:
    """What a file holds: a user's JWT and seed, or the seed of an NKEY alone; raises `UsageError`."""
    name = _existing(path, "credentials")
    try:
        text = Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"The credentials file {path} cannot be read: {error.strerror}.") from None
    jwt, seed = _JWT.search(text), _SEED.search(text)
    if seed is None or (jwt is None and text.strip() != seed[0]):
        raise UsageError(
            f"The file {path} holds no NATS credentials.",
            hint="They are a JWT and its seed, as `nsc generate creds` writes them, or an NKEY's seed.",
        )
    return User(jwt[1] if jwt else None, seed[0])


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
