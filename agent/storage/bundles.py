"""Working copies of test bundles: each job gets a clean one, without unpacking the bundle again.

A bundle is unpacked once, to a master that no job sees; jobs get copies. A copy that is checked in is
restored: what the job added is removed, what it changed is copied anew. To detect changes, the inode
change time of every file is remembered, which only a change of the clock can forge. So a job in a bundle
of 2,000 files costs a scan of them (10 ms), not a copy (300 ms).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent import threads
from agent.archive import DEFAULT_LIMITS, Limits, disk_reason, unpack
from agent.errors import ArchiveError, FetchError
from agent.storage.cache import DEFAULT_LIMIT_BYTES, BlobCache
from agent.storage.removal import FOLDER_MODE, remove_tree
from agent.storage.room import require_room, room_while_writing
from agent.storage.transfer import Transferred

_State = dict[str, tuple[int, int, int, int]]
"""Relative name → what tells that an entry is as it was made; see `_look`."""


MAX_MASTERS = 32
MAX_PARKED = 64
MAX_ADDED = 10_000
"""Of files that a job left in its copy: to remove more takes longer than a new copy."""


@dataclass(slots=True)
class _Copy:
    """A working copy: where it is, and the state it had when it was handed out."""

    digest: str
    path: Path
    state: _State


class BundleStore:
    """Hands out working copies. Safe to use from all slots; the work is done in threads."""

    def __init__(
        self,
        folder: Path,
        cache: BlobCache,
        *,
        limits: Limits = DEFAULT_LIMITS,
        max_masters: int = MAX_MASTERS,
        max_parked: int = MAX_PARKED,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        """`limit_bytes`: of the masters and of the copies that wait for a job, together."""
        self._folder = folder
        self._cache = cache
        self._limits = limits
        self._max_masters = max_masters
        self._max_parked = max_parked
        self._limit_bytes = limit_bytes
        self._masters: dict[str, _State] = {}
        self._sizes: dict[str, int] = {}
        self._last_use: dict[str, int] = {}
        self._uses = itertools.count()
        self._users: dict[str, int] = {}
        self._unpacking: dict[str, asyncio.Lock] = {}
        self._parked: list[_Copy] = []
        self._out: dict[Path, _Copy] = {}
        self._lock = threading.Lock()

    def open(self, discard: Callable[[Path], None] = remove_tree) -> None:
        """Begin with an empty folder: what a former agent left has no remembered state. Blocking.

        `discard` has a folder away.
        """
        discard(self._folder)
        (self._folder / "masters").mkdir(parents=True)
        (self._folder / "parked").mkdir()

    async def check_out(self, digest: str, into: Path, progress: Transferred | None = None) -> None:
        """Put a working copy of the bundle at the new folder `into` (on the same file system, to be quick).

        Raises `FetchError` when it cannot be fetched or there is no room, `ArchiveError` when it is corrupt
        or unsafe.
        """
        self._users[digest] = self._users.get(digest, 0) + 1
        self._last_use[digest] = next(self._uses)
        try:
            if await threads.finished(partial(self._unpark, digest, into)):
                return
            await self._make_master(digest, progress)
            try:
                await threads.finished(partial(self._copy, digest, into))
            except FileNotFoundError:
                await self._rebuild_master(digest, into, progress)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            text = f"cannot unpack a test bundle: {error.strerror}{where}"
            raise FetchError(text, reason=disk_reason(error)) from error
        finally:
            self._users[digest] -= 1
            if not self._users[digest]:
                del self._users[digest]
                if digest not in self._masters:
                    self._last_use.pop(digest, None)
                    self._unpacking.pop(digest, None)

    async def check_in(self, path: Path) -> None:
        """Take a working copy back, to be restored for another job; everything using it has ended.

        Not taking it back loses time, nothing else. Never raises: a copy that cannot be put right is
        removed.
        """
        await asyncio.to_thread(self._park, path)

    # -- masters ------------------------------------------------------------------------------------

    async def _make_master(self, digest: str, progress: Transferred | None) -> None:
        lock = self._unpacking.setdefault(digest, asyncio.Lock())
        async with lock:
            if digest in self._masters:
                return
            async with self._cache.hold(digest, progress) as blob:
                await threads.finished(partial(self._unpack, digest, blob))
        await asyncio.to_thread(self._make_room)

    async def _rebuild_master(self, digest: str, into: Path, progress: Transferred | None) -> None:
        """Make the master again after somebody has cleared the folder (it may lie in a temporary folder)."""
        with self._lock:
            self._masters.pop(digest, None)
        await threads.finished(partial(remove_tree, self._master(digest)))
        await threads.finished(partial(remove_tree, into))
        await self._make_master(digest, progress)
        await threads.finished(partial(self._copy, digest, into))

    def _unpack(self, digest: str, blob: Path) -> None:
        fresh = self._fresh()
        fresh.parent.mkdir(parents=True, exist_ok=True)
        try:
            unpack(blob, fresh, limits=self._limits, checkpoint=room_while_writing(fresh.parent))
            fresh.replace(self._master(digest))
        except ArchiveError as error:
            raise ArchiveError(
                f"the test bundle cannot be unpacked: {error.message}", reason=error.reason
            ) from error
        finally:
            remove_tree(fresh)
        state = _look(self._master(digest))
        with self._lock:
            self._masters[digest] = state
            self._sizes[digest] = sum(entry[2] for entry in state.values())

    def _master(self, digest: str) -> Path:
        return self._folder / "masters" / digest

    def _make_room(self) -> None:
        """Let the oldest copies go, then masters that nobody waits for, the least recently used first."""
        gone: list[Path] = []
        with self._lock:
            held = sum(self._sizes[digest] for digest in self._masters)
            held += sum(self._sizes[copy.digest] for copy in self._parked)
            while self._parked and (len(self._parked) > self._max_parked or held > self._limit_bytes):
                copy = self._parked.pop(0)
                held -= self._sizes[copy.digest]
                gone.append(copy.path)
            for digest in sorted(self._masters.keys() - self._users.keys(), key=self._last_use.__getitem__):
                if len(self._masters) <= self._max_masters and held <= self._limit_bytes:
                    break
                held -= self._sizes.pop(digest)
                del self._masters[digest], self._last_use[digest]
                self._unpacking.pop(digest, None)
                gone += [copy.path for copy in self._parked if copy.digest == digest]
                self._parked = [copy for copy in self._parked if copy.digest != digest]
                # A new request makes it anew while this one is being removed.
                with contextlib.suppress(OSError):
                    gone.append(self._master(digest).rename(self._fresh()))
        for path in gone:
            remove_tree(path)

    def _fresh(self) -> Path:
        return self._folder / "masters" / f".{uuid.uuid4().hex}"

    # -- copies -------------------------------------------------------------------------------------

    def _copy(self, digest: str, into: Path) -> None:
        master = self._master(digest)
        require_room(self._folder, self._sizes.get(digest, 0))
        into.mkdir(parents=True)
        for name in self._masters[digest]:
            _copy_entry(master, into, name)
        self._out[into] = _Copy(digest, into, _look(into))

    def _unpark(self, digest: str, into: Path) -> bool:
        with self._lock:
            copy = next((copy for copy in self._parked if copy.digest == digest), None)
            if copy is None:
                return False
            self._parked.remove(copy)
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy.path.rename(into)
        except FileNotFoundError:
            return False
        copy.path = into
        self._out[into] = copy
        return True

    def _park(self, path: Path) -> None:
        copy = self._out.pop(path, None)
        if copy is None:
            return
        try:
            if copy.digest not in self._masters:
                raise FileNotFoundError
            copy.path = self._folder / "parked" / uuid.uuid4().hex
            copy.path.parent.mkdir(parents=True, exist_ok=True)
            path.rename(copy.path)
            self._restore(copy)
        except OSError:
            remove_tree(path)
            remove_tree(copy.path)
            return
        with self._lock:
            keep = copy.digest in self._masters
            if keep:
                self._parked.append(copy)
        if keep:
            self._make_room()
        else:
            remove_tree(copy.path)

    def _restore(self, copy: _Copy) -> None:
        """Make a copy equal to its master again, touching only what is not as it was made."""
        master, wanted = self._master(copy.digest), copy.state
        found = _look(copy.path, len(wanted) + MAX_ADDED)
        if found == wanted:
            return
        for name in sorted(found.keys() - wanted.keys(), reverse=True):
            remove_tree(copy.path / name)
        for name in wanted:
            if found.get(name) != wanted[name]:
                present = copy.path / name
                if _is_folder(wanted[name]) and present.is_dir() and not present.is_symlink():
                    present.chmod(FOLDER_MODE)
                    continue
                remove_tree(present)
                _copy_entry(master, copy.path, name)
        copy.state = _look(copy.path)
        if copy.state.keys() != wanted.keys():
            raise FileExistsError


def _look(root: Path, most: int = sys.maxsize - 1) -> _State:
    """The state of every entry below `root`, folders before what is in them.

    Folders by their mode, files and links by inode, size and change time: whoever writes, renames, links
    or changes modes changes that time. A folder that cannot be read is made readable. Raises `OSError` when
    there are more than `most`.
    """
    state: _State = {}
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        for item in _scan(root, prefix, most + 1 - len(state)):
            name = prefix + item.name
            status = item.stat(follow_symlinks=False)
            if item.is_dir(follow_symlinks=False):
                state[name] = (status.st_mode, 0, 0, 0)
                waiting.append(name + "/")
            else:
                state[name] = (status.st_mode, status.st_ino, status.st_size, status.st_ctime_ns)
        if len(state) > most:
            raise OSError(errno.EFBIG, "more files than are worth being put right")
    return state


def _scan(root: Path, prefix: str, most: int) -> list[os.DirEntry[str]]:
    folder = f"{root}/{prefix}"
    try:
        with os.scandir(folder) as items:
            return list(itertools.islice(items, most))
    except PermissionError:
        os.chmod(folder, FOLDER_MODE)  # noqa: PTH101
        with os.scandir(folder) as items:
            return list(itertools.islice(items, most))


def _is_folder(state: tuple[int, int, int, int]) -> bool:
    return state[1:] == (0, 0, 0)


def _copy_entry(source: Path, dest: Path, name: str) -> None:
    """One entry, bytes and mode; the folder it lies in is there."""
    here, there = f"{source}/{name}", f"{dest}/{name}"
    if os.path.islink(here):  # noqa: PTH114
        os.symlink(os.readlink(here), there)  # noqa: PTH115, PTH211
        return
    if os.path.isdir(here):  # noqa: PTH112
        os.mkdir(there, FOLDER_MODE)  # noqa: PTH102
        return
    reading = os.open(here, os.O_RDONLY)
    try:
        status = os.fstat(reading)
        writing = os.open(there, os.O_WRONLY | os.O_CREAT | os.O_EXCL, status.st_mode & 0o777)
        try:
            left = status.st_size
            while left > 0 and (data := os.read(reading, min(left, 1 << 20))):
                left -= os.write(writing, data)
                os.lseek(reading, status.st_size - left, os.SEEK_SET)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
