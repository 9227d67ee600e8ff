"""Packs a folder into a tar.gz that is the same bytes for the same content.

Sorted names, no times and owners, modes 755 and 644 alone: so equal bundles have equal digests, and a
lab machine that has it need not fetch it again.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from typing import IO

from qgjob.bundle.ignores import IgnoreRules
from qgjob.bundle.limits import UNPACKED_LIMIT, UNPACKED_RATIO, UNPACKED_RATIO_FLOOR
from qgjob.bundle.selection import Selection
from qgjob.bundle.walk import Entry, named_entries, walk
from qgjob.domain.wording import show_size
from qgjob.errors import RefusedError, UsageError

DEFAULT_LIMIT = 50 * 1024 * 1024
"""Bytes of the packed bundle."""
MAX_ENTRIES = 50_000
COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class Bundle:
    """A packed folder: `size` is in bytes as packed, `files` counts files and links."""

    path: Path
    sha256: str
    size: int
    files: int


def build_bundle(
    selection: Selection, out_path: Path, limit: int | None = DEFAULT_LIMIT, *, ignore: Sequence[str] = ()
) -> Bundle:
    """Pack the selection's root, ignored files left out, its tests always in.

    `ignore`: lines that count as if they stood in the root's `.qgjobignore`.
    Raises `RefusedError` naming the biggest entries when it comes out larger than `limit` bytes or agents
    would not unpack it, `UsageError` for a link that leaves the root or a file that cannot be read.
    """
    rules = IgnoreRules.for_root(selection.root)
    entries = {entry.name: entry for entry in walk(selection.root, rules, ignore=ignore)}
    for test in selection.tests:
        if test not in entries:
            entries |= {entry.name: entry for entry in named_entries(selection.root, test)}
    return _pack(selection.root, entries.values(), out_path, limit, _too_big_bundle)


def pack_folder(folder: Path, out_path: Path, limit: int | None = None) -> Bundle:
    """Pack everything in a folder, ignored or not: for a build that is a folder. Raises as `build_bundle`."""
    return _pack(folder, walk(folder, None), out_path, limit, _too_big_build)


_TooBig = Callable[[Path, Sequence[Entry], str], RefusedError]


def _pack(root: Path, found: Iterable[Entry], out_path: Path, limit: int | None, too_big: _TooBig) -> Bundle:
    entries = sorted(found, key=lambda entry: entry.name)
    if len(entries) > MAX_ENTRIES:
        raise too_big(root, entries, f"it has {len(entries)} files, and {MAX_ENTRIES} is the most")
    if sum(entry.size for entry in entries) > UNPACKED_LIMIT:
        raise too_big(root, entries, f"unpacked it is over {show_size(UNPACKED_LIMIT)}")
    try:
        with out_path.open("wb") as file:
            sink = _HashingSink(file, limit)
            with GzipFile("", "wb", COMPRESSION, sink, mtime=0) as zipped:
                buffered = io.BufferedWriter(zipped, 1 << 18)  # type: ignore[arg-type]  # a file for our purpose
                with tarfile.open(fileobj=buffered, mode="w", format=tarfile.GNU_FORMAT) as archive:
                    for entry in entries:
                        _add(archive, root, entry)
                buffered.flush()
                unpacked = zipped.tell()
                buffered.detach()
        if unpacked > max(UNPACKED_RATIO_FLOOR, UNPACKED_RATIO * sink.size):
            what = f"{show_size(unpacked)} unpack from {show_size(sink.size)}"
            raise too_big(root, entries, f"{what}, and agents take no more than {UNPACKED_RATIO} times")
    except _LimitReachedError:
        out_path.unlink()
        raise too_big(root, entries, f"packed it is over {show_size(limit or 0)}") from None
    except BaseException:
        out_path.unlink(missing_ok=True)
        raise
    return Bundle(out_path, sink.digest.hexdigest(), sink.size, len(entries))


def _add(archive: tarfile.TarFile, root: Path, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mode = 0o755 if entry.executable else 0o644
    if entry.target is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        archive.addfile(info)
        return
    try:
        with (root / entry.name).open("rb") as file:
            info.size = entry.size
            archive.addfile(info, file)
    except OSError as error:
        if error.filename is None:
            # tarfile's own: the file is shorter than it was.
            raise UsageError(
                f"{entry.name} changed while the bundle was being packed", hint="Try again."
            ) from error
        raise UsageError(
            f"cannot read {entry.name}: {error.strerror}",
            hint="Make it readable, or list it in .qgjobignore.",
        ) from error


class _LimitReachedError(Exception):
    pass


class _HashingSink:
    """Counts and hashes what goes into a file; stops at the limit, and when somebody has removed the file.

    Packing runs in a thread, which cannot be ended: removing its folder is how a cancel tells it.
    """

    def __init__(self, file: IO[bytes], limit: int | None) -> None:
        self._file = file
        self._limit = limit
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            raise _LimitReachedError
        if not Path(self._file.name).exists():
            raise UsageError(f"{self._file.name} was removed while it was written.")
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _too_big_build(root: Path, entries: Sequence[Entry], what: str) -> RefusedError:
    return RefusedError(
        f"the build {root} is too big: {what}; the biggest in it: {_biggest(entries)}",
        hint="All of the folder is packed: give one that holds the build alone.",
    )


def _too_big_bundle(root: Path, entries: Sequence[Entry], what: str) -> RefusedError:
    return RefusedError(
        f"the test bundle of {root} is too big: {what}; the biggest in it: {_biggest(entries)}",
        hint="List what the tests do not need, such as builds, in .qgjobignore (the syntax is .gitignore's), "
        "or put a qgjob.toml beside the tests to make that folder the root.",
    )


def _biggest(entries: Sequence[Entry]) -> str:
    """The biggest files, or the biggest folders when it is their number that weighs."""
    total = sum(entry.size for entry in entries)
    files = sorted(((entry.size, entry.name) for entry in entries), reverse=True)[:5]
    if sum(size for size, _ in files) * 2 < total or len(entries) > MAX_ENTRIES:
        folders: dict[str, list[int]] = {}
        for entry in entries:
            head, slash, _ = entry.name.partition("/")
            folders.setdefault(head + slash, []).append(entry.size)
        weights = sorted(((sum(sizes), len(sizes), name) for name, sizes in folders.items()), reverse=True)[
            :5
        ]
        return ", ".join(f"{name} ({show_size(size)}, {count} files)" for size, count, name in weights)
    return ", ".join(f"{name} ({show_size(size)})" for size, name in files)
