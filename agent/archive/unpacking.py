"""Unpacks untrusted archives: zip, tar (gz, bz2, xz), or a folder, which is copied.

Nothing is written outside the destination, whatever names and links an archive holds; links are made
last, so that nothing is ever written through one. Sizes are counted as they are read, not as declared.
The work is blocking; a `Checkpoint` called for every piece lets the caller end it.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, BinaryIO, Self, TypeGuard, cast

from agent.archive.directory import count_entries
from agent.archive.writer import CHUNK, DEFAULT_LIMITS, Checkpoint, Limits, Writer, shown
from agent.errors import ArchiveError

_MAX_PADDING = 1 << 20
_MAX_HEADER = 1 << 20
_LONG_NUMBER = re.compile(rb"\d{32}")
_MAX_HEADERS = 8
"""Headers that belong to one member: each is read within the one before."""
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_OF_THE_DISK = {*_NO_SPACE, errno.EROFS, errno.EIO}


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
            writer = Writer(dest, limits, None, checkpoint)
            _copy_folder(source, writer)
        else:
            writer = Writer(dest, limits, source.stat().st_size, checkpoint)
            _unpack_file(source, writer)
        writer.make_links()
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        zlib.error,
        NotImplementedError,
        ArithmeticError,
        ValueError,
    ) as error:
        raise ArchiveError(f"the archive is corrupt: {error}") from error
    except _lzma_errors() as error:
        raise ArchiveError(f"the archive is corrupt: {error}") from error
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile) or error.errno in {None, errno.EINVAL}:
            raise ArchiveError(f"the archive is corrupt: {error}") from error
        if error.errno in {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ}:
            raise ArchiveError(
                f"the archive holds a name that cannot be written: {error.strerror}"
            ) from error
        raise


def is_disk_full(error: OSError) -> bool:
    """Whether a write failed because the disk is full."""
    return error.errno in _NO_SPACE


def is_of_the_disk(error: Exception) -> TypeGuard[OSError]:
    """Whether the disk is full, read-only or broken, which any other job would meet there too."""
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK


def disk_reason(error: OSError) -> str:
    """The reason code for an error of the disk."""
    return "disk_full" if is_disk_full(error) else "disk_error"


def _unpack_file(source: Path, writer: Writer) -> None:
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


def _unpack_tar(plain: IO[bytes], writer: Writer) -> None:
    try:
        counted = cast("IO[bytes]", _Counted(plain, writer))
        archive = _ForgetfulTar.open(fileobj=counted, mode="r|", tarinfo=_bounded())
    except tarfile.ReadError as error:
        raise ArchiveError("the archive is corrupt, or it is neither a zip nor a tar") from error
    with archive:
        while (member := archive.next()) is not None:
            archive.members.clear()
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
    for _ in range(_MAX_PADDING // CHUNK):
        if not plain.read(CHUNK):
            break


def _unsafe_kind(name: str) -> ArchiveError:
    return ArchiveError(
        f"the archive holds {shown(name)}, which is neither a file, a folder nor a link",
        reason="archive_unsafe",
    )


class _ForgetfulTar(tarfile.TarFile):
    """A `TarFile` whose list of members, with all their headers, may be cleared while it is read."""

    members: list[tarfile.TarInfo]


class _Counted:
    """A reader that counts the decompressed bytes."""

    def __init__(self, plain: IO[bytes], writer: Writer) -> None:
        self._plain = plain
        self._writer = writer

    def read(self, size: int = -1) -> bytes:
        """As a file does; raises `ArchiveError` when it is too much."""
        data = self._plain.read(size)
        self._writer.has_read(len(data))
        return data


def _bounded() -> type[tarfile.TarInfo]:
    """A `TarInfo` class for one archive that bounds headers, which are read whole, and recursively."""
    kinds = {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
    in_a_row = 0

    class Bounded(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            nonlocal in_a_row
            info = super().frombuf(buf, encoding, errors)
            if info.size < 0:
                raise tarfile.ReadError("a negative size")
            in_a_row = in_a_row + 1 if info.type in kinds else 0
            if in_a_row and info.size > _MAX_HEADER:
                raise tarfile.ReadError("a header of more than a megabyte")
            if in_a_row > _MAX_HEADERS:
                raise tarfile.ReadError(f"more than {_MAX_HEADERS} headers of one member")
            return info

        def _proc_pax(self, archive: Any) -> tarfile.TarInfo:
            # Up to Python 3.12.5 a header full of digits keeps a regular expression busy for minutes, and
            # with it the whole interpreter (CVE-2024-6232).
            stream = archive.fileobj
            blocks = -(-self.size // tarfile.BLOCKSIZE)
            body: bytes = stream.read(blocks * tarfile.BLOCKSIZE)
            if _LONG_NUMBER.search(body):
                raise tarfile.ReadError("a header with a number that is too long")

            def once(_: int) -> bytes:
                archive.fileobj = stream
                return body

            archive.fileobj = SimpleNamespace(read=once)
            whole: Any = super()
            return whole._proc_pax(archive)  # noqa: SLF001

    return Bounded


def _unpack_zip(file: BinaryIO, writer: Writer) -> None:
    writer.check_entries(count_entries(file))
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if member.flag_bits & 0x1:
                raise ArchiveError(f"the archive is encrypted: {shown(member.filename)}")
            if member.is_dir():
                writer.folder(member.filename)
            elif stat.S_ISLNK(mode):
                if member.file_size > 4096:
                    raise ArchiveError(
                        f"the archive is corrupt: the link {shown(member.filename)} is too long"
                    )
                writer.link(member.filename, os.fsdecode(archive.read(member)))
            elif stat.S_IFMT(mode) in {0, stat.S_IFREG}:
                with archive.open(member) as content:
                    writer.file(member.filename, content, executable=bool(mode & stat.S_IXUSR))
            else:
                raise _unsafe_kind(member.filename)


def _copy_folder(source: Path, writer: Writer) -> None:
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
