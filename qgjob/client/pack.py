"""Builds as files: what format one has, and a folder as an archive whose bytes tell its content."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from bus_schemas.builds import ArchiveFormat
from qgjob.errors import UsageError

#: Archives by their nature, but devices take them as they are.
_PACKAGES: Final = frozenset({".apk", ".apks", ".aab", ".ipa"})

_BY_SUFFIX: Final[tuple[tuple[str, ArchiveFormat], ...]] = (
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".tar.bz2", "tar.bz2"),
    (".tar.xz", "tar.xz"),
    (".txz", "tar.xz"),
    (".tar", "tar"),
    (".zip", "zip"),
)


def format_of(file: Path) -> ArchiveFormat:
    """How a build is to be unpacked, by its name; raises `UsageError` when it is no such archive."""
    name = file.name.lower()
    if file.suffix.lower() in _PACKAGES:
        return "file"
    matches: list[ArchiveFormat] = [kind for suffix, kind in _BY_SUFFIX if name.endswith(suffix)]
    if not matches:
        return "zip" if zipfile.is_zipfile(file) else "file"
    found = matches[0]
    try:
        if found == "zip":
            _check_zip(file)
        else:
            _check_tar(file)
    except (OSError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(
            f"{file} is not a whole {found} archive: {error}.", hint="Make it again; nothing was uploaded."
        ) from None
    return found


def _check_zip(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} is damaged")


def _check_tar(file: Path) -> None:
    with tarfile.open(file) as archive:
        for _ in archive:  # reads to the end
            pass


def pack_folder(folder: Path, dest: Path) -> None:
    """Write a folder as a tar archive: the same content makes the same bytes on every machine.

    Not compressed, since compressors differ; sorted, without times and owners, modes reduced to
    whether a file may be run. Raises `UsageError` for a link that leaves the folder and for
    anything that is neither file, folder nor link.
    """
    root = folder.resolve()
    with tarfile.open(dest, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(_below(root), key=lambda item: item.relative_to(root).as_posix()):
            _add(archive, path, root)


def _below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for here, folders, files in os.walk(folder, onerror=_unreadable):
        found.extend(Path(here) / name for name in (*folders, *files))
    return found


def _unreadable(error: OSError) -> None:
    raise UsageError(f"{error.filename} cannot be read: {error.strerror}.")


def _add(archive: tarfile.TarFile, path: Path, root: Path) -> None:
    relative = path.relative_to(root).as_posix()
    status = path.lstat()
    entry = tarfile.TarInfo(relative)
    if stat.S_ISLNK(status.st_mode):
        entry.type = tarfile.SYMTYPE
        entry.linkname = _inner_link(path, root)
        entry.mode = 0o777
        archive.addfile(entry)
    elif stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
        entry.mode = 0o755
        archive.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        try:
            with path.open("rb") as file:
                archive.addfile(entry, file)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    else:
        raise UsageError(f"{path} is neither a file nor a folder nor a link.")


def _inner_link(path: Path, root: Path) -> str:
    target = path.readlink()
    resolved = PurePosixPath(os.path.normpath(path.parent / target))
    if target.is_absolute() or not resolved.is_relative_to(root.as_posix()):
        raise UsageError(f"{path} is a link that leaves the folder (to {target}).")
    return target.as_posix()
