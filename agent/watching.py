"""Watch a running test: whether it still says something, and what it writes to the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

from agent.interruption import Interruption
from agent.launch import EndReason, JobDirs
from agent.logs import LogShipper
from agent.settings import MIB, JobLimits
from bus_schemas.jobs import JobSpec

LOOK_EVERY_S: Final = 5.0
MIN_FREE_BYTES: Final = 200 * MIB
"""When the disk has less, whoever wrote much is ended before everybody suffers."""
_MUCH: Final = 16 * MIB
_MAX_ENTRIES: Final = 200_000


@contextlib.contextmanager
def watched(
    shipper: LogShipper, dirs: JobDirs | None, interruption: Interruption, spec: JobSpec, limits: JobLimits
) -> Generator[None]:
    """End the attempt when the test is silent for too long, or fills the disk (None: has none)."""
    tasks: list[asyncio.Task[None]] = []
    if dirs is not None:
        watch = _watch_disk(dirs.root, _free(dirs.root), interruption, limits.disk_bytes)
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


async def _watch_disk(root: Path, at_first: int | None, interruption: Interruption, limit: int) -> None:
    """A look at the file system costs nothing; only when much was written is the folder looked through."""
    await asyncio.sleep(min(1.0, LOOK_EVERY_S))
    while True:
        free = _free(root)
        if free is None or at_first is None:
            return  # the attempt has no folder
        tight = free < MIN_FREE_BYTES
        if tight or at_first - free > min(limit, MIN_FREE_BYTES) // 2:
            used = await asyncio.to_thread(used_bytes, root)
            if used > limit:
                text = (
                    f"the test wrote {used / MIB:.0f} MiB to the disk, more than the {limit / MIB:g} allowed"
                )
                interruption.end(EndReason.DISK_LIMIT, text)
                return
            if tight and used > _MUCH:
                text = f"the disk has {free / MIB:.0f} MiB left, and the test wrote {used / MIB:.0f} MiB"
                interruption.end(EndReason.DISK_LIMIT, text)
                return
            at_first = free
        await asyncio.sleep(LOOK_EVERY_S)


def _free(root: Path) -> int | None:
    try:
        status = os.statvfs(root)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def used_bytes(root: Path) -> int:
    """What the files below a folder take on the disk, holes not counted. Blocking."""
    total = seen = 0
    waiting = [str(root)]
    while waiting and seen < _MAX_ENTRIES:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
        except OSError:
            continue
    return total
