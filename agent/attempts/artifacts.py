"""Uploads a job's artifacts folder and reports to the object store, within limits.

File names come from the job, so they are made safe; links are not followed, and only plain files are taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import heapq
import itertools
import os
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from agent.config.settings import ArtifactLimits
from agent.launch import JobDirs
from bus_schemas.artifacts import MAX_NAME_BYTES, Artifact, is_safe_name
from bus_schemas.jobs import BlobRef
from bus_schemas.streams import ARTIFACT_OBJECTS
from qgjob.bus import objects
from qgjob.bus.connect import Bus
from qgjob.domain.wording import show_size
from qgjob.errors import QgjobError, UnreachableError

KEEPING_S: Final = 120.0
"""How long a result waits for its artifacts at most."""
_FRESH_S: Final = 3600.0
"""A file that is stored already and older is stored anew, so that it lives as long as the job's events."""
_MAX_ENTRIES: Final = 10_000
_MAX_DEPTH: Final = 100
"""Of folders in folders: names are cut to 240 bytes anyway."""
_MAX_TOLD: Final = 10
REPORTS: Final = "reports"


class Found(NamedTuple):
    """A file that is worth keeping."""

    name: str
    path: Path
    size: int


@dataclass(slots=True)
class Gathered:
    """Files to upload, and files left out because of a limit, with the reason."""

    kept: list[Found] = field(default_factory=list[Found])
    left_out: list[str] = field(default_factory=list[str])


class Kept(NamedTuple):
    """What is stored."""

    artifacts: tuple[Artifact, ...] = ()
    left_out: int = 0


def gather(dirs: JobDirs, limits: ArtifactLimits) -> Gathered:
    """Find the files to upload, once the job's processes have ended. Blocking."""
    gathered = Gathered()
    total = 0
    names: set[str] = set()
    # Reports first: they are small, and what people look for.
    reports = ((f"{REPORTS}/{path.relative_to(dirs.reports)}", path) for path in _files(dirs.reports))
    others = ((str(path.relative_to(dirs.artifacts)), path) for path in _files(dirs.artifacts))
    for number, (inside, path) in enumerate(itertools.chain(reports, others)):
        name = safe_name(inside)
        if number >= _MAX_ENTRIES:
            gathered.left_out.append(f"{name} and what follows: only {_MAX_ENTRIES} files are looked at")
            break
        try:
            size = path.lstat().st_size
        except OSError:
            continue
        if len(gathered.kept) >= limits.count:
            gathered.left_out.append(f"{name}: more than {limits.count} files")
        elif size > limits.file_bytes:
            gathered.left_out.append(f"{name}: {show_size(size)}, over {show_size(limits.file_bytes)}")
        elif total + size > limits.total_bytes:
            gathered.left_out.append(f"{name}: all of them are over {show_size(limits.total_bytes)}")
        else:
            gathered.kept.append(Found(_unique(name, names), path, size))
            total += size
    return gathered


async def keep(bus: Bus, dirs: JobDirs, limits: ArtifactLimits, say: Callable[[str], None]) -> Kept:
    """Upload what a job left; what cannot be stored is noted in its log, and is no reason to fail."""
    if not _any(dirs.reports) and not _any(dirs.artifacts):
        return Kept()  # as most jobs end: not worth a thread
    gathered = await asyncio.to_thread(gather, dirs, limits)
    left_out = gathered.left_out
    kept: list[Artifact] = []
    waiting = deque(gathered.kept)
    why = f"storing them took over {KEEPING_S:g} s"
    try:
        async with asyncio.timeout(KEEPING_S):
            while waiting:
                found = waiting[0]
                try:
                    kept.append(Artifact(name=found.name, blob=await _store(bus, found.path)))
                except UnreachableError:
                    raise
                except (QgjobError, OSError) as error:
                    left_out.append(f"{found.name}: {error}")
                waiting.popleft()
    except TimeoutError:
        pass
    except UnreachableError as error:  # full or away, and so it would be for each: the slot has work to do
        why = str(error)
    left_out += [f"{found.name}: {why}" for found in waiting]
    for line in left_out[:_MAX_TOLD]:
        say(f"artifact left out: {line}")
    if len(left_out) > _MAX_TOLD:
        say(f"artifacts left out: {len(left_out) - _MAX_TOLD} more")
    return Kept(tuple(sorted(kept, key=lambda artifact: artifact.name)), len(left_out))


def _any(folder: Path) -> bool:
    """Whether anything is in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return next(entries, None) is not None
    return False


def safe_name(name: str) -> str:
    """A name that `is_safe_name`, as like the given one as possible."""
    parts = [_safe_part(part) for part in name.split("/") if part not in {"", "."}] or ["_"]
    safe = "/".join(parts)
    while len(safe.encode()) > MAX_NAME_BYTES - 8:  # room for what makes it unique
        parts = [part[:-1] if len(part) == max(map(len, parts)) else part for part in parts]
        parts = [part.rstrip(" .") or "_" for part in parts]
        if max(map(len, parts)) <= 1:
            parts = parts[-8:]
            return "/".join(parts)
        safe = "/".join(parts)
    return safe


async def _store(bus: Bus, path: Path) -> BlobRef:
    blob = await asyncio.to_thread(_blob_of, path)
    there = await objects.stat(bus, ARTIFACT_OBJECTS, blob.digest)
    if there is None or there.size != blob.size or time.time() - there.stored_at > _FRESH_S:
        await objects.put_file(bus, ARTIFACT_OBJECTS, path, blob.digest)
    return blob


def _blob_of(path: Path) -> BlobRef:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:  # noqa: PTH123
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return BlobRef(digest=digest, size=file.tell())


def _files(root: Path, depth: int = _MAX_DEPTH) -> Iterator[Path]:
    """Plain files below a folder, down to a depth, by name; no link is followed."""
    try:
        with os.scandir(root) as entries:
            found = heapq.nsmallest(_MAX_ENTRIES + 1, entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        elif depth and entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), depth - 1)


def _safe_part(part: str) -> str:
    text = part.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    shown = "".join(
        "_" if char in '\\:*?"<>|' or unicodedata.category(char)[0] == "C" else char for char in text
    )
    return shown.rstrip(" .") or "_"


def _unique(name: str, taken: set[str]) -> str:
    stem, dot, ending = name.rpartition(".")
    if not dot or "/" in ending:
        stem, dot, ending = name, "", ""
    unique, number = name, 1
    while unique.casefold() in taken or not is_safe_name(unique):
        number += 1
        unique = f"{stem}~{number}{dot}{ending}" if number < 1000 else f"artifact~{number}"
    taken.add(unique.casefold())
    return unique
