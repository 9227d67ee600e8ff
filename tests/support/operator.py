"""A NATS operator of a test's own: keys, signed accounts and users, and the files that they are told in.

As `nsc` makes them; see the server's documentation of decentralised JWT authentication.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import nkeys  # pyright: ignore[reportMissingTypeStubs]

from tests.support.servers import NatsServer

_UNLIMITED: dict[str, Any] = dict.fromkeys(
    ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage"), -1
) | {"wildcards": True, "streams": -1, "consumer": -1}


class Key:
    """A key pair of some kind (`nkeys.PREFIX_BYTE_…`), and what it says under its name."""

    def __init__(self, prefix: int) -> None:
        self.seed = bytes(nkeys.encode_seed(os.urandom(32), prefix))
        self._pair: Any = nkeys.from_seed(bytearray(self.seed))
        self.public = bytes(self._pair.public_key).decode()

    def signed(self, subject: str, claims: dict[str, Any], *, expires: float | None = None) -> str:
        """A JWT by this key about another one, or itself; `expires`: in seconds since 1970."""
        now = int(time.time())
        body: dict[str, Any] = {"jti": os.urandom(8).hex(), "iat": now, "iss": self.public, "sub": subject}
        body |= {"name": subject[:8], "nats": {**claims, "version": 2}}
        if expires is not None:
            body["exp"] = int(expires)
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        text = ".".join(_coded(json.dumps(part).encode()) for part in (header, body))
        return f"{text}.{_coded(bytes(self._pair.sign(text.encode())))}"


class OperatedServer(NatsServer):
    """A server with JetStream that lets in who shows a user's credentials; `credentials` makes such a file."""

    def __init__(self, folder: Path) -> None:
        self._operator = Key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "nats.conf"
        system = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        accounts = {self._account.public: _UNLIMITED, system.public: {}}
        preload = "\n".join(
            f"  {public}: {self._operator.signed(public, {'type': 'account', 'limits': limits})}"
            for public, limits in accounts.items()
        )
        config.write_text(
            f"operator: {self._operator.signed(self._operator.public, {'type': 'operator'})}\n"
            f"system_account: {system.public}\nresolver: MEMORY\n"
            f"resolver_preload: {{\n{preload}\n}}\njetstream {{}}\n"
        )
        super().__init__(folder, config=config)

    def credentials(self, path: Path, *, expires: float | None = None) -> Path:
        """A file with what lets a user in."""
        user = Key(nkeys.PREFIX_BYTE_USER)
        claims: dict[str, Any] = {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        jwt = self._account.signed(user.public, claims, expires=expires)
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
        )
        return path

    async def _ready(self) -> bool:
        return "Server is ready" in self.log  # the usual probe has no credentials


def _coded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
