"""A nats-server that speaks TLS and wants a certificate of its clients; the certificates are made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import NatsServer

_SECTIONS = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
subjectAltName = IP:127.0.0.1, DNS:localhost
keyUsage = critical, digitalSignature
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """A CA of a test's own, and what it signs, valid for a day."""

    def __init__(self, openssl: str, folder: Path) -> None:
        self._openssl = openssl
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._own = self._made("ca", "ca")

    @property
    def file(self) -> Path:
        """What whoever trusts it needs."""
        return self._own.cert

    def pair(self, name: str) -> Pair:
        """A pair for a server at 127.0.0.1, or for a client."""
        return self._made(name, "leaf", "-CA", str(self._own.cert), "-CAkey", str(self._own.key))

    def _made(self, name: str, kind: str, *signer: str) -> Pair:
        made = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        config = self._folder / f"{name}.cnf"
        config.write_text(_SECTIONS.format(name=name))
        new = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")
        what = ("-config", str(config), "-extensions", kind)
        out = ("-keyout", str(made.key), "-out", str(made.cert))
        argv = [self._openssl, "req", *new, *what, *out, *signer]
        subprocess.run(argv, check=True, capture_output=True)
        return made


class TlsServer(NatsServer):
    """JetStream over TLS; with `wants_certificate` for those alone whom its authority knows."""

    def __init__(self, folder: Path, authority: Authority, *, wants_certificate: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._wants_certificate = wants_certificate
        super().__init__(folder, config=folder / "nats.conf")
        self.trust(authority)

    def trust(self, authority: Authority) -> None:
        """From its next start on, have a certificate of that authority, and want its clients' to be of it."""
        pair = authority.pair("server")
        verify = f'ca_file: "{authority.file}", verify: true' if self._wants_certificate else ""
        (self.folder / "nats.conf").write_text(
            f'jetstream {{}}\ntls {{ cert_file: "{pair.cert}", key_file: "{pair.key}", {verify} }}\n'
        )

    async def _ready(self) -> bool:
        return "Server is ready" in self.log  # the usual probe has no certificate
