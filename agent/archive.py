"""Unpacks bundles and builds, which are hostile until unpacked: zip, tar (gz, bz2, xz), or a folder.

Nothing is written outside the destination, whatever names and links an archive holds; links are made
last, so that nothing is ever written through one. Sizes are counted as they are read, not as declared.
The work is blocking; a `Checkpoint` called for every piece lets the caller end it.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

from agent.errors import ArchiveError

Checkpoint = Callable[[int], None]
"""Called with the bytes written so far; whatever it raises ends the unpacking."""

_CHUNK = 1 << 18
_MAX_PADDING = 1 << 20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may come out of an archive.

    `ratio` is unpacked to packed bytes, and only counts above `ratio_floor_bytes` unpacked.
    """

    entries: int = 100_000
    total_bytes: int = 8 * 1024**3
    ratio: int = 200
    ratio_floor_bytes: int = 64 * 1024**2


DEFAULT_LIMITS = Limits()


def unpack(
    source: Path, dest: Path, *, limits: Limits = DEFAULT_LIMITS, checkpoint: Checkpoint | None = None
) -> None:
    """Unpack the archive `source`, or copy the folder `source`, into the new folder `dest`.

    Raises `ArchiveError` when it is corrupt, hostile or over the limits, `OSError` for what the disk
    does (full, not writable). `dest` may be left half-filled: unpack into a temporary folder.
    """
    try:
        dest.mkdir(parents=True)
        if source.is_dir():
            writer = _Writer(dest, limits, None, checkpoint)
            _copy_folder(source, writer)
        else:
            writer = _Writer(dest, limits, source.stat().st_size, checkpoint)
            _unpack_file(source, writer)
        writer.make_links()
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError) as error:
        raise ArchiveError(f"the archive is corrupt: {error}") from error
    except _lzma_errors() as error:
        raise ArchiveError(f"the archive is corrupt: {error}") from error
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile) or error.errno is None:
            raise ArchiveError(f"the archive is corrupt: {error}") from error
        if error.errno in {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ}:
            raise ArchiveError(
                f"the archive holds a name that cannot be written: {error.strerror}"
            ) from error
        raise


def is_disk_full(error: OSError) -> bool:
    """Whether it is for want of room that a write failed."""
    return error.errno in _NO_SPACE


class _Writer:
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
        self._links: list[tuple[Path, str]] = []

    def folder(self, name: str) -> None:
        self._count_entry()
        if parts := _safe_parts(name):
            self._dest.joinpath(*parts).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, content: IO[bytes], *, executable: bool) -> None:
        path = self._place(name)
        path.unlink(missing_ok=True)
        mode = 0o755 if executable else 0o644
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            while data := content.read(_CHUNK):
                self.count_bytes(len(data))
                file.write(data)

    def link(self, name: str, target: str) -> None:
        self._links.append((self._place(name), target))

    def hard_link(self, name: str, target: str) -> None:
        """A copy: two names for one file would let a job damage what another reads."""
        original = self._dest.joinpath(*_safe_parts(target))
        if not original.is_file() or original.is_symlink():
            raise ArchiveError(f"the archive is corrupt: {_shown(name)} is a link to what is not in it")
        with original.open("rb") as content:
            self.file(name, content, executable=bool(original.stat().st_mode & stat.S_IXUSR))

    def make_links(self) -> None:
        """Make the links, then look where each really leads: a chain of harmless ones may lead out."""
        for path, target in self._links:
            if os.path.lexists(path):
                raise ArchiveError(f"the archive holds {_shown(path.name)} twice, once as a link")
            if not target or "\0" in target:
                raise ArchiveError(f"the archive's link {_shown(path.name)} leads nowhere")
            path.symlink_to(target)
        root = os.path.realpath(self._dest)
        for path, target in self._links:
            where = os.path.realpath(path)
            if os.path.isabs(target) or (where != root and not where.startswith(root + os.sep)):  # noqa: PTH117
                raise ArchiveError(
                    f"the archive's link {_shown(str(path.relative_to(self._dest)))} leads out of it, "
                    f"to {_shown(target)}",
                    reason="archive_unsafe",
                )

    def count_bytes(self, count: int) -> None:
        self._written += count
        limits = self._limits
        if self._written > limits.total_bytes:
            raise ArchiveError(
                f"the archive is too large: more than {limits.total_bytes:,} bytes unpacked",
                reason="archive_too_large",
            )
        if (
            self._packed_size is not None
            and self._written > limits.ratio_floor_bytes
            and self._written > self._packed_size * limits.ratio
        ):
            raise ArchiveError(
                f"the archive unpacks to more than {limits.ratio} times its size", reason="archive_too_large"
            )
        if self._checkpoint is not None:
            self._checkpoint(self._written)

    def _count_entry(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise ArchiveError(
                f"the archive is too large: more than {self._limits.entries:,} files in it",
                reason="archive_too_large",
            )

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
            f"the archive holds a name that leads out of it: {_shown(name)}", reason="archive_unsafe"
        )
    return parts


def _shown(name: str) -> str:
    return repr(name if len(name) <= 200 else name[:200] + "…")


def _unpack_file(source: Path, writer: _Writer) -> None:
    with source.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        if magic.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _unpack_zip(file, writer)
            return
        with _decompressed(file, magic) as plain:
            _unpack_tar(plain, writer)


@contextlib.contextmanager
def _decompressed(file: BinaryIO, magic: bytes) -> Generator[IO[bytes]]:
    if magic.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=file) as plain:
            yield cast("IO[bytes]", plain)
    elif magic.startswith(b"BZh"):
        import bz2

        with bz2.BZ2File(file) as plain:
            yield cast("IO[bytes]", plain)
    elif magic.startswith(b"\xfd7zXZ"):
        import lzma

        with lzma.LZMAFile(file) as plain:
            yield cast("IO[bytes]", plain)
    else:
        yield file


def _unpack_tar(plain: IO[bytes], writer: _Writer) -> None:
    try:
        archive = tarfile.open(fileobj=plain, mode="r|", tarinfo=_BoundedTarInfo)  # noqa: SIM115
    except tarfile.ReadError as error:
        raise ArchiveError("the archive is corrupt, or it is neither a zip nor a tar") from error
    with archive:
        for member in archive:
            if member.isdir():
                writer.folder(member.name)
            elif member.issym():
                writer.link(member.name, member.linkname)
            elif member.islnk():
                writer.hard_link(member.name, member.linkname)
            elif member.isreg() and not member.issparse():
                content = archive.extractfile(member)
                if content is not None:
                    writer.file(member.name, content, executable=bool(member.mode & stat.S_IXUSR))
            else:
                raise _unsafe_kind(member.name)
    # The checksum stands behind the last member; what else follows is padding.
    for _ in range(_MAX_PADDING // _CHUNK):
        if not plain.read(_CHUNK):
            break


def _unsafe_kind(name: str) -> ArchiveError:
    return ArchiveError(
        f"the archive holds {_shown(name)}, which is neither a file, a folder nor a link",
        reason="archive_unsafe",
    )


class _BoundedTarInfo(tarfile.TarInfo):
    """Long names and extended headers are read into memory whole, so their size is looked at first."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0:
            raise tarfile.ReadError("a negative size")
        if info.size > 1024 * 1024 and info.type in {
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        }:
            raise tarfile.ReadError("a header of more than a megabyte")
        return info


def _unpack_zip(file: BinaryIO, writer: _Writer) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if member.flag_bits & 0x1:
                raise ArchiveError(f"the archive is encrypted: {_shown(member.filename)}")
            if member.is_dir():
                writer.folder(member.filename)
            elif stat.S_ISLNK(mode):
                if member.file_size > 4096:
                    raise ArchiveError(
                        f"the archive is corrupt: the link {_shown(member.filename)} is too long"
                    )
                writer.link(member.filename, os.fsdecode(archive.read(member)))
            elif stat.S_IFMT(mode) in {0, stat.S_IFREG}:
                with archive.open(member) as content:
                    writer.file(member.filename, content, executable=bool(mode & stat.S_IXUSR))
            else:
                raise _unsafe_kind(member.filename)


def _copy_folder(source: Path, writer: _Writer) -> None:
    for folder, folders, files in os.walk(source):
        for name in [*folders, *files]:
            path = Path(folder, name)
            inside = path.relative_to(source).as_posix()
            if path.is_symlink():
                writer.link(inside, str(path.readlink()))
            elif path.is_dir():
                writer.folder(inside)
            elif path.is_file():
                with path.open("rb") as content:
                    writer.file(inside, content, executable=bool(path.stat().st_mode & stat.S_IXUSR))


def _lzma_errors() -> type[Exception]:
    import lzma

    return lzma.LZMAError


def copy_tree(source: Path, dest: Path) -> None:
    """Copy an unpacked tree, links as links, file by file: nothing is shared with the original."""
    dest.mkdir(parents=True, exist_ok=True)
    waiting = [(str(source), str(dest))]
    while waiting:
        here, there = waiting.pop()
        with os.scandir(here) as items:
            for item in items:
                target = f"{there}/{item.name}"
                if item.is_symlink():
                    os.symlink(os.readlink(item.path), target)  # noqa: PTH115, PTH211
                elif item.is_dir():
                    os.mkdir(target)  # noqa: PTH102
                    waiting.append((item.path, target))
                else:
                    shutil.copy(item.path, target)
