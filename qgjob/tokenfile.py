"""The token that NATS asks for when it listens to more than this machine: read from a file, kept secret."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from qgjob.errors import UsageError

MIN_CHARS: Final = 16
_MAX_BYTES: Final = 4096
_MAKE: Final = "Make one: (umask 077; python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > {path})"


def read_token(said: str) -> str:
    """The token given by itself or by the name of its file; raises `UsageError`."""
    if file := file_of(said):
        return read_token_file(file)
    return _checked(said.strip(), "The token", "Name a file that holds one, or set it in QGJOB_TOKEN.")


def file_of(said: str) -> Path | None:
    """The file that is named; None for a token itself. A name has a `/` in it or is that of a file here."""
    named = "/" in said or said.startswith("~") or Path(said).is_file()
    return Path(said).expanduser() if named else None


def read_token_file(path: Path) -> str:
    """The token in a file; raises `UsageError` when there is none, or when others may read it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = file.read(_MAX_BYTES).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(
            f"The token file {path} cannot be read: {reason}.", hint=_MAKE.format(path=path)
        ) from None
    refuse_if_shared(path, mode, "token")
    return _checked(text, f"The token in {path}", _MAKE.format(path=path))


def refuse_if_shared(path: Path, mode: int, what: str) -> None:
    """Raise `UsageError` when everybody on this machine may read a secret, or its group may change it."""
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise UsageError(
            f"The {what} file {path} is open to others on this machine (mode {mode:04o}).",
            hint=f"Close it: chmod 600 {path}",
        )


def _checked(token: str, what: str, hint: str) -> str:
    if len(token) < MIN_CHARS or not token.isascii() or not token.isprintable() or set(token) & set(' "\\$'):
        raise UsageError(
            f"{what} is no good one: it must have {MIN_CHARS} or more plain characters, without spaces.",
            hint=hint,
        )
    return token
