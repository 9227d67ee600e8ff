"""Secrets live on the lab machine: jobs name them, their values never travel."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.errors import JobError
from agent.output.masking import MIN_SECRET_CHARS
from bus_schemas.jobs import JobSpec
from qgjob.errors import UsageError
from qgjob.tokenfile import refuse_if_shared

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}\Z")
_MAX_BYTES: Final = 1_000_000


def read_secrets(path: Path) -> dict[str, str]:
    """`NAME=VALUE` lines; `#` begins a comment, quotes around a value are taken off.

    Raises `UsageError` with the line's number, never with what is in it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            lines = file.read(_MAX_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"The secrets file {path} cannot be read: {reason}.") from None
    refuse_if_shared(path, mode, "secrets")
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not _NAME.match(name.strip()):
            raise UsageError(f"Line {number} of {path} is not of the form NAME=VALUE.")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name.strip()] = value
    return found


def checked_secrets(secrets: Mapping[str, str], where: str) -> dict[str, str]:
    """Secrets that can be kept out of logs; raises `UsageError` naming one that cannot."""
    for name, value in secrets.items():
        if name.startswith("QGJOB_"):
            raise UsageError(f"{where}: the secret {name} takes a name of qgjob's own.")
        if len(value.strip()) < MIN_SECRET_CHARS or "\0" in value:
            raise UsageError(
                f"{where}: the secret {name} is too short to be hidden in logs "
                f"(under {MIN_SECRET_CHARS} characters), or holds a NUL."
            )
    return dict(secrets)


def refuse_without_secrets(spec: JobSpec, known: Mapping[str, str], agent: str) -> None:
    """Raise `JobError` when this agent has not all of the secrets that a job names."""
    missing = [name for name in spec.secrets if name not in known]
    if missing:
        raise JobError(
            f"the agent {agent} has no secret {', '.join(missing)}",
            reason="secret_missing",
            retryable=True,
            hint="Name it in the agent's agent.toml under [secrets], or in its secrets file.",
        )
