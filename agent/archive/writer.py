"""Writes an archive's entries below one folder: never outside of it, and within size limits."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agent.errors import ArchiveError
from qgjob.bundle.limits import UNPACKED_LIMIT, UNPACKED_RATIO, UNPACKED_RATIO_FLOOR

Checkpoint = Callable[[int], None]
"""Called with the bytes written so far; whatever it raises ends the unpacking."""

CHUNK = 1 << 18
"""Bytes read and written at once."""
_MAX_DEPTH = 200
"""Of folders in folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may come out of an archive.

    `ratio` is unpacked to packed bytes, and only counts above `ratio_floor_bytes` unpacked.
    """

    entries: int = 100_000
    total_bytes: int = UNPACKED_LIMIT
    ratio: int = UNPACKED_RATIO
    ratio_floor_bytes: int = UNPACKED_RATIO_FLOOR


DEFAULT_LIMITS = Limits()


class Writer:
    """Writes what an archive holds below one folder, and counts it."""

    def __init__(
        self, dest: Path, limits: Limits, packed_size: int | None, checkpoint: Checkpoint | None
    ) -> None:
        self._dest = dest
        self._limits = limits
        self._packed_size = packed_size
        self._checkpoint = checkpoint
        self._entries = 0
        self._written = 0
        self._read = 0
        self._links: list[tuple[Path, str]] = []

    def folder(self, name: str) -> None:
        """Make a folder."""
        self._count_entry()
        if parts := _safe_parts(name):
            self._dest.joinpath(*parts).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, content: IO[bytes], *, executable: bool) -> None:
        """Write a file; one of that name which is there already is replaced, not followed."""
        path = self._place(name)
        path.unlink(missing_ok=True)
        mode = 0o755 if executable else 0o644
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        # Buffered: on a disk with room for a part, an unbuffered write is cut short in silence.
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            while data := content.read(CHUNK):
                self._count_bytes(len(data))
                file.write(data)

    def link(self, name: str, target: str) -> None:
        """Remember a symbolic link, to be made at the end."""
        self._links.append((self._place(name), target))

    def hard_link(self, name: str, target: str) -> None:
        """A copy: two names for one file would let a job damage what another reads."""
        original = self._dest.joinpath(*_safe_parts(target))
        if not original.is_file() or original.is_symlink():
            raise ArchiveError(f"the archive is corrupt: {shown(name)} is a link to what is not in it")
        with original.open("rb") as content:
            self.file(name, content, executable=bool(original.stat().st_mode & stat.S_IXUSR))

    def make_links(self) -> None:
        """Make the links, then look where each really leads: a chain of harmless ones may lead out."""
        for path, target in self._links:
            if os.path.lexists(path):
                raise ArchiveError(f"the archive holds {shown(path.name)} twice, once as a link")
            if not target or "\0" in target:
                raise ArchiveError(f"the archive's link {shown(path.name)} leads nowhere")
            path.symlink_to(target)
        root = os.path.realpath(self._dest)
        for path, target in self._links:
            where = os.path.realpath(path)
            if os.path.isabs(target) or (where != root and not where.startswith(root + os.sep)):  # noqa: PTH117
                raise ArchiveError(
                    f"the archive's link {shown(str(path.relative_to(self._dest)))} leads out of it, "
                    f"to {shown(target)}",
                    reason="archive_unsafe",
                )

    def has_read(self, count: int) -> None:
        """Count decompressed bytes: headers cost as much as files."""
        self._read += count
        self._check_size(self._read)

    def check_entries(self, count: int) -> None:
        """Raise `ArchiveError` when an archive with so many entries is too large."""
        if count > self._limits.entries:
            raise ArchiveError(
                f"the archive is too large: more than {self._limits.entries:,} files in it",
                reason="archive_too_large",
            )

    def _count_bytes(self, count: int) -> None:
        self._written += count
        self._check_size(self._written)
        if self._checkpoint is not None:
            self._checkpoint(self._written)

    def _check_size(self, size: int) -> None:
        limits = self._limits
        if size > limits.total_bytes:
            raise ArchiveError(
                f"the archive is too large: more than {limits.total_bytes:,} bytes unpacked",
                reason="archive_too_large",
            )
        if (
            self._packed_size is not None
            and size > limits.ratio_floor_bytes
            and size > self._packed_size * limits.ratio
        ):
            raise ArchiveError(
                f"the archive unpacks to more than {limits.ratio} times its size", reason="archive_too_large"
            )

    def _count_entry(self) -> None:
        self._entries += 1
        self.check_entries(self._entries)

    def _place(self, name: str) -> Path:
        self._count_entry()
        parts = _safe_parts(name)
        if not parts:
            raise ArchiveError("the archive is corrupt: it holds a file without a name")
        path = self._dest.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _safe_parts(name: str) -> list[str]:
    """A member's name in parts. Raises `ArchiveError` for one that would leave the destination."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ArchiveError(
            f"the archive holds a name that leads out of it: {shown(name)}", reason="archive_unsafe"
        )
    if len(parts) > _MAX_DEPTH:
        raise ArchiveError(f"the archive holds folders more than {_MAX_DEPTH} deep: {shown(name)}")
    return parts


def shown(name: str) -> str:
    """An untrusted name, quoted and cut for an error message."""
    return repr(name if len(name) <= 200 else name[:200] + "…")
