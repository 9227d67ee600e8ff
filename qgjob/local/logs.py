"""What the children write: a file each, bounded, with the run before kept beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO

#: A log that grew past this is cut while its child runs.
MAX_LOG_BYTES = 16 * 1024 * 1024

_TAIL_BYTES = 16 * 1024


class ChildLog:
    """The log file of one child, `NAME.log`, and the one before it, `NAME.log.1`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.log"
        self._previous = folder / f"{name}.log.1"

    def begin(self) -> None:
        """Set the file of the last run aside."""
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self._previous)

    def open(self) -> BinaryIO:
        """Return the file for a child to write to; what is there stays."""
        # Appending is what makes it safe to cut the file under a running child.
        return open(self.path, "ab", opener=_for_this_user)

    def trim(self, limit: int = MAX_LOG_BYTES) -> None:
        """Copy a file that has grown past `limit` bytes aside and empty it.

        Lines written between the two are lost: the price for children that need no pipe of ours
        and write on when we are stopped.
        """
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size > limit:
                shutil.copyfile(self.path, self._previous)
                os.truncate(self.path, 0)

    def tail(self, lines: int = 10) -> str:
        """Return the last lines, fit to be shown on a terminal."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        shown = ["".join(c if c.isprintable() else " " for c in line) for line in text.splitlines()[-lines:]]
        return "\n".join(f"  | {line}" for line in shown)


def _for_this_user(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
