"""Contexts: the labs that a user works with, each a server and how to get in."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from qgjob.config import contexts_file
from qgjob.errors import NotFoundError, UsageError

FIELDS: Final = ("server", "creds", "tls_ca", "tls_cert", "tls_key")
CONTEXT_VARIABLE: Final = "QGJOB_CONTEXT"


@dataclass(slots=True)
class Contexts:
    """All contexts of a user, and which one is in use."""

    path: Path
    current: str | None = None
    known: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    @classmethod
    def load(cls, env: Mapping[str, str]) -> Contexts:
        """Read them; raises `UsageError` when the file is damaged."""
        contexts = cls(contexts_file(env))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                contexts._read(json.loads(contexts.path.read_text("utf-8")))
            except (OSError, ValueError, AttributeError, TypeError) as error:
                if isinstance(error, FileNotFoundError | NotADirectoryError):
                    raise
                raise UsageError(
                    f"{contexts.path} cannot be read: {error}.",
                    hint="Mend or delete it; `qgjob context add` makes it anew.",
                ) from None
        if named := env.get(CONTEXT_VARIABLE):
            contexts.current = named
        return contexts

    def _read(self, document: Any) -> None:
        if not isinstance(document, dict):
            raise TypeError("it does not hold contexts")
        read = cast("dict[str, Any]", document)
        current, known = read.get("current"), read.get("contexts")
        if not isinstance(known, dict) or not isinstance(current, str | None):
            raise TypeError("it does not hold contexts")
        for name, fields in cast("dict[str, dict[str, str]]", known).items():
            if fields.get("server"):
                self.known[name] = {key: str(fields[key]) for key in FIELDS if fields.get(key)}
        self.current = current

    def active(self, server: str | None = None) -> dict[str, str]:
        """The global options of the context in use; raises `NotFoundError` when there is no such context.

        None of them when a `server` is named that is not of this context: what lets one in there is nobody
        else's to see.
        """
        context = self.get(self.current) if self.current else {}
        if server and not is_among(server, context.get("server", "")):
            return {}
        return dict(context)

    def get(self, name: str) -> dict[str, str]:
        """One of them; raises `NotFoundError`."""
        if name not in self.known:
            others = ", ".join(sorted(self.known)) or "none"
            raise NotFoundError(f"There is no context {name!r}.", hint=f"There are: {others}.")
        return self.known[name]

    def save(self) -> None:
        """Write them, readable by their user alone: credentials may be part of an address.

        Raises `UsageError` when they cannot be written.
        """
        document = {"current": self.current, "contexts": self.known}
        scratch = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=2)
                file.write("\n")
            scratch.replace(self.path)
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be written: {error.strerror}.",
                hint="XDG_CONFIG_HOME may name another folder for settings.",
            ) from None


def is_among(server: str, own: str) -> bool:
    """Whether all addresses of `server` are among those of `own`, which may see the credentials."""
    return _servers(server) <= _servers(own)


def _servers(addresses: str) -> frozenset[str]:
    """Addresses in the form for comparison: without user info, with scheme and port."""
    found: set[str] = set()
    for address in addresses.split(","):
        scheme, _, place = address.strip().lower().rpartition("://")
        place = place.rpartition("@")[2].rstrip("/")
        port = "" if place.rpartition(":")[2].isdecimal() else ":4222"
        found.add(f"{scheme or 'nats'}://{place}{port}")
    return frozenset(found)
