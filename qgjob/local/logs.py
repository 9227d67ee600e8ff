"""What the children write: a file each, bounded, with the run before kept beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

#: A log that grew past this is cut while its child runs.
MAX_LOG_BYTES = 16 * 1024 * 1024

_TAIL_BYTES = 16 * 1024
_PIECE_BYTES: Final = 256 * 1024
_OVERLAP_BYTES: Final = 256


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


class NewText:
    """What a child wrote to its log since the last look, or since this was made."""

    def __init__(self, log: ChildLog) -> None:
        self._path = log.path
        self._place = self._size()

    def read(self) -> Iterator[bytes]:
        """Return what is new, in pieces that overlap so that no line is missed; never much of it at once."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            if self._place > file.seek(0, os.SEEK_END):  # it was cut meanwhile
                self._place = 0
            file.seek(self._place)
            kept = b""
            while piece := file.read(_PIECE_BYTES):
                self._place = file.tell()
                yield kept + piece
                kept = piece[-_OVERLAP_BYTES:]

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0


def _for_this_user(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
