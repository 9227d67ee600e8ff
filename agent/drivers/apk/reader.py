"""Reads the package and version of an APK; of a file that is none it says what it seems to be."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.drivers.apk.axml import AxmlError, root_element
from agent.errors import JobError

MANIFEST: Final = "AndroidManifest.xml"
MAX_MANIFEST_BYTES: Final = 4 * 2**20
MAX_DIRECTORY_BYTES: Final = 64 * 2**20
"""Of a ZIP's table of contents, which is read as a whole."""
_VERSION_CODE, _VERSION_NAME, _VERSION_CODE_MAJOR = 0x0101021B, 0x0101021C, 0x01010576
PACKAGE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)+")
"""What Android takes for an app's package; nothing of it means anything to a shell."""
_END_OF_DIRECTORY: Final = b"PK\x05\x06"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApkInfo:
    """What the manifest says. `version_code` has the major part in its upper half, as Android counts."""

    package: str
    version_code: int | None
    version_name: str | None
    size: int


def read_apk(path: Path) -> ApkInfo:
    """Read an APK. Blocking, a few milliseconds.

    Raises `JobError`: `build_no_apk` for another kind of file, `build_broken` for an APK that cannot be
    read (neither retryable), `build_unreadable` when the file itself cannot be (retryable).
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
            size = file.seek(0, 2)
            if not head.startswith(b"PK\x03\x04"):
                raise _no_apk(_guess(head))
            file.seek(max(0, size - 65_557))
            _check_directory(file.read())
        with zipfile.ZipFile(path) as archive:
            data = _manifest(archive)
    except OSError as error:
        raise JobError(
            f"the build's file cannot be read: {error.strerror or error}",
            reason="build_unreadable",
            retryable=True,
        ) from error
    # All that zipfile and its decoders raise on malicious files.
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, NotImplementedError, RuntimeError) as e:
        raise _broken(f"its ZIP archive is damaged: {e}") from None
    except (EOFError, MemoryError, OverflowError) as error:
        raise _broken(f"its ZIP archive is damaged: {type(error).__name__}") from None
    return _info(data, size)


def _check_directory(tail: bytes) -> None:
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) < at + 22:
        raise _broken("its ZIP archive has no end: it was cut off")
    if struct.unpack_from("<I", tail, at + 12)[0] > MAX_DIRECTORY_BYTES:
        raise _broken("its ZIP archive lists too many files")


def _manifest(archive: zipfile.ZipFile) -> bytes:
    try:
        entry = archive.getinfo(MANIFEST)
    except KeyError:
        raise _no_apk(_guess_archive(archive.namelist())) from None
    if entry.file_size > MAX_MANIFEST_BYTES:
        raise _broken("its manifest is larger than 4 MiB")
    with archive.open(entry) as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise _broken("its manifest is larger than 4 MiB")
    return data


def _info(data: bytes, size: int) -> ApkInfo:
    try:
        root = root_element(data)
    except AxmlError as error:
        raise _broken(f"its manifest cannot be read: {error}") from None
    package = root.attributes.get("package")
    if root.name != "manifest" or not isinstance(package, str) or not PACKAGE.fullmatch(package):
        raise _broken("its manifest names no package")
    if len(package) > 255:
        raise _broken("its package name is too long")
    if root.attributes.get("split"):
        raise _no_apk("one part of a split app; upload a universal APK")
    code = root.attributes.get(_VERSION_CODE)
    major = root.attributes.get(_VERSION_CODE_MAJOR)
    name = root.attributes.get(_VERSION_NAME)
    return ApkInfo(
        package=package,
        version_code=(major << 32 if isinstance(major, int) else 0) + code if isinstance(code, int) else None,
        version_name=name[:100] if isinstance(name, str) else None,
        size=size,
    )


def _guess(head: bytes) -> str:
    if head.startswith(b"\x1f\x8b"):
        return "a gzip archive"
    if head[257:262] == b"ustar":
        return "a tar archive"
    if not head:
        return "an empty file"
    return "no ZIP archive at all"


def _guess_archive(names: list[str]) -> str:
    if "BundleConfig.pb" in names or "base/manifest/AndroidManifest.xml" in names:
        return "an Android app bundle; build an APK of it (bundletool --mode=universal)"
    if any(name.endswith(".apk") for name in names):
        return "a set of APKs; upload a universal one"
    if any(name.startswith("Payload/") for name in names):
        return "an iOS app"
    return f"a ZIP archive without {MANIFEST}"


def _no_apk(what: str) -> JobError:
    return JobError(f"the build is no APK: it is {what}", reason="build_no_apk", retryable=False)


def _broken(what: str) -> JobError:
    return JobError(f"the build is a broken APK: {what}", reason="build_broken", retryable=False)
