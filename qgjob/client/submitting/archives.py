"""Detects which kind of archive a build is, and checks that it is not damaged or cut off."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from pathlib import Path
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
    """The archive format of a build, by its file name; raises `UsageError` when the content is not that.

    Of a package only that it was not cut off: its id would stand for the half of it for ever.
    """
    name = file.name.lower()
    if file.suffix.lower() in _PACKAGES:
        if _begins_as_zip(file) and not zipfile.is_zipfile(file):
            raise UsageError(
                f"{file} was cut off: it has no end.", hint="Make it again; nothing was uploaded."
            )
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


def _begins_as_zip(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(4) == b"PK\x03\x04"


def _check_zip(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} is damaged")


def _check_tar(file: Path) -> None:
    with tarfile.open(file) as archive:
        for _ in archive:  # reads to the end
            pass
