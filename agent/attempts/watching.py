"""Watches a running test for silence, and for what it writes to the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple

from agent.attempts.interruption import Interruption
from agent.config.settings import MIB, JobLimits
from agent.launch import EndReason, JobDirs
from agent.output.logs import LogShipper
from agent.storage.room import MIN_FREE_BYTES
from bus_schemas.jobs import JobSpec
from qgjob.domain.wording import show_size

LOOK_EVERY_S: Final = 5.0
"""When the disk has less, whoever wrote much is ended before everybody suffers."""
MIN_FREE_FILES: Final = 10_000
"""The same of files, which a file system has room for a number of, whatever is in them."""
MAX_FILES: Final = 1_000_000
"""What one test may make: more cannot be counted, nor removed, in good time."""
_MUCH: Final = 16 * MIB
_MANY: Final = 1000
_UNCOUNTED: Final = 2**62


class Room(NamedTuple):
    """An amount of disk space: bytes and number of files."""

    bytes: int
    files: int


@contextlib.contextmanager
def watched(
    shipper: LogShipper, dirs: JobDirs | None, interruption: Interruption, spec: JobSpec, limits: JobLimits
) -> Generator[None]:
    """End the attempt when the test is silent for too long, or fills the disk (None: has none)."""
    tasks: list[asyncio.Task[None]] = []
    if dirs is not None:
        watch = _watch_disk(dirs.root, _free(dirs.root.parent), interruption, limits.disk_bytes)
        tasks.append(asyncio.create_task(watch, name="disk"))
    if spec.silence_timeout_s is not None:
        shipper.listen()
        tasks.append(
            asyncio.create_task(_watch_silence(shipper, interruption, spec.silence_timeout_s), name="silence")
        )
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _watch_silence(shipper: LogShipper, interruption: Interruption, limit_s: float) -> None:
    while True:
        left = limit_s - shipper.silent_s
        if left <= 0:
            interruption.end(EndReason.SILENT, f"the test said nothing for {limit_s:g} s")
            return
        await asyncio.sleep(left)


async def _watch_disk(root: Path, at_first: Room | None, interruption: Interruption, limit: int) -> None:
    """Poll the file system's free space, which is cheap; scan the folder only when much was written."""
    await asyncio.sleep(min(1.0, LOOK_EVERY_S))
    while True:
        free = _free(root.parent)  # the test may have removed its own folder
        if free is None or at_first is None:
            return
        tight = free.bytes < MIN_FREE_BYTES or free.files < MIN_FREE_FILES
        wrote = at_first.bytes - free.bytes > min(limit, MIN_FREE_BYTES) // 2
        if tight or wrote or at_first.files - free.files > MAX_FILES // 2:
            used = await asyncio.to_thread(used_in, root)
            if text := _over_limit(used, free, limit):
                interruption.end(EndReason.DISK_LIMIT, text)
                return
            at_first = free
        # Space that others free raises the baseline: the test must not fill it unnoticed.
        at_first = Room(max(at_first.bytes, free.bytes), max(at_first.files, free.files))
        await asyncio.sleep(LOOK_EVERY_S)


def _over_limit(used: Room, free: Room, limit: int) -> str | None:
    written = show_size(used.bytes)
    if used.bytes > limit:
        return f"the test wrote {written} to the disk, more than the {show_size(limit)} allowed"
    if used.files > MAX_FILES:
        return f"the test made more than {MAX_FILES:,} files"
    if free.bytes < MIN_FREE_BYTES and used.bytes > _MUCH:
        return f"the disk has {show_size(free.bytes)} left, and the test wrote {written}"
    if free.files < MIN_FREE_FILES and used.files > _MANY:
        return f"the disk has room for {free.files:,} more files, and the test made {used.files:,}"
    return None


def _free(folder: Path) -> Room | None:
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    # Some file systems make room for files as they come, and say nothing.
    return Room(status.f_bavail * status.f_frsize, status.f_favail if status.f_files else _UNCOUNTED)


def used_in(root: Path) -> Room:
    """What the files below a folder take on the disk, holes not counted, and how many. Blocking.

    More than `MAX_FILES` are not looked at.
    """
    total = seen = 0
    waiting = [str(root)]
    while waiting and seen <= MAX_FILES:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if (seen := seen + 1) > MAX_FILES:
                        break
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
        except OSError:
            continue
    return Room(total, seen)
