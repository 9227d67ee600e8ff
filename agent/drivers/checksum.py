"""Whether a downloaded build is what was uploaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agent.errors import JobError


def verify_file(path: Path, sha256: str) -> None:
    """Hash a file. Blocking. Raises `JobError` (`build_checksum`, retryable) for other bytes."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise JobError(
            f"the build's file is not what was uploaded: its SHA-256 is {found}, not {sha256}",
            reason="build_checksum",
            retryable=True,
        )
