"""Ids as NATS subject tokens, and back.

A token may hold neither white space, `.`, `*` nor `>`, and a control line of NATS ends at
4 KiB. So an id made only of `[A-Za-z0-9_-]` and no longer than 64 bytes stands as it is; in
any other short id each foreign byte becomes `=XX`; a longer id becomes `~` and the first 40 hex
digits of its SHA-256, its original travelling in the payload. The three forms cannot meet:
a plain token has neither `=` nor `~`, an escaped one has `=` and no `~`.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

MAX_PLAIN_BYTES = 64
_PLAIN = re.compile(rb"[A-Za-z0-9_-]+\Z")
_ESCAPE = re.compile(rb"[^A-Za-z0-9_-]")
_ESCAPED = re.compile(r"=([0-9A-F]{2})")
_HASHED = "~"


@lru_cache(maxsize=65_536)
def encode_token(value: str) -> str:
    """The token that stands for an id; raises `ValueError` for an empty one."""
    if not value:
        raise ValueError("an id must not be empty")
    raw = value.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_PLAIN_BYTES:
        return _HASHED + hashlib.sha256(raw).hexdigest()[:40]
    if _PLAIN.match(raw):
        return value
    return _ESCAPE.sub(lambda m: b"=%02X" % m.group()[0], raw).decode("ascii")


def decode_token(token: str) -> str | None:
    """The id that a token stands for, or None when it is a hash and only the payload knows."""
    if token.startswith(_HASHED):
        return None
    if "=" not in token:
        return token
    raw = _ESCAPED.sub(lambda m: chr(int(m.group(1), 16)), token).encode("latin-1")
    return raw.decode("utf-8", "surrogatepass")


def short_hash(*parts: str) -> str:
    """A name of fixed length for something named by several ids, such as a group's consumer."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return digest.hexdigest()[:24]
