"""Downloaded blobs on this machine, by their SHA-256: each is fetched once and verified.

A blob that is in use stays; of the others the least recently used go when the cache is over its size, and
all of them when the disk has no room for another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path

from agent.archive import disk_reason, is_disk_full
from agent.errors import FetchError
from agent.storage.shared import SharedWork
from agent.storage.transfer import Transferred

log = logging.getLogger(__name__)

Fetch = Callable[[str, Path, Transferred], Awaitable[None]]
"""Brings the blob of a digest to a path that does not exist yet; says how far it is; raises `FetchError`."""

DEFAULT_LIMIT_BYTES = 10 * 1024**3

_DIGEST = re.compile(r"[0-9a-f]{64}")


class BlobCache:
    """A folder of blobs. One instance owns the folder; its calls may overlap."""

    def __init__(self, folder: Path, fetch: Fetch, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._folder = folder
        self._fetch = fetch
        self._limit_bytes = limit_bytes
        self._pins: dict[str, int] = {}
        self._fetching = SharedWork()
        self._listening: dict[str, list[Transferred]] = {}

    @contextlib.asynccontextmanager
    async def hold(self, digest: str, progress: Transferred | None = None) -> AsyncGenerator[Path]:
        """The blob's file, there to be read within the block; fetched first when it is not here.

        One whose bytes were changed since it came is missing. Several that ask for a blob at once wait for
        one look at it and one fetch, and each hears of its `progress`. Raises `FetchError` for a digest that
        is none, for a fetch that fails, and for bytes that are not the digest's.
        """
        if _DIGEST.fullmatch(digest) is None:
            raise FetchError(f"not a SHA-256 digest: {digest[:100]!r}", retryable=False)
        self._pins[digest] = self._pins.get(digest, 0) + 1
        try:
            path = self._path(digest)
            with self._listen(digest, progress):
                await self._fetch_once(digest)
            with contextlib.suppress(OSError):
                # The time of the last use, for whoever decides what goes: kept over restarts.
                os.utime(path)
            yield path
        finally:
            self._pins[digest] -= 1
            if not self._pins[digest]:
                del self._pins[digest]

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    @contextlib.contextmanager
    def _listen(self, digest: str, progress: Transferred | None) -> Generator[None]:
        if progress is None:
            yield
            return
        listening = self._listening.setdefault(digest, [])
        listening.append(progress)
        try:
            yield
        finally:
            listening.remove(progress)
            if not listening:
                self._listening.pop(digest, None)

    def _notify(self, digest: str, done: int, total: int) -> None:
        for progress in self._listening.get(digest, ()):
            progress(done, total)

    async def _fetch_once(self, digest: str) -> None:
        await self._fetching.wait_for(
            digest,
            lambda: self._fetch_checked(digest),
            name=f"fetch {digest[:12]}",
            alone=lambda: self._pins[digest] == 1,
        )

    async def _fetch_checked(self, digest: str) -> None:
        path = self._path(digest)
        if await asyncio.to_thread(_is_whole, path):
            return
        incoming = self._folder / "incoming" / f"{digest}.{uuid.uuid4().hex}"
        try:
            incoming.parent.mkdir(parents=True, exist_ok=True)
            try:
                await self._fetch_to(digest, incoming)
            except OSError as error:
                if not is_disk_full(error):
                    raise
                await asyncio.to_thread(self._make_room, 0)
                await self._fetch_to(digest, incoming)
            found = await asyncio.to_thread(_digest_and_sync, incoming)
            if found != digest:
                raise FetchError(
                    f"what was fetched is not what was asked for: its SHA-256 is {found}, not {digest}",
                    reason="digest_mismatch",
                )
            path.parent.mkdir(exist_ok=True)
            incoming.replace(path)
        except OSError as error:
            text = f"cannot store a download in {self._folder}: {error.strerror}"
            raise FetchError(text, reason=disk_reason(error)) from error
        finally:
            incoming.unlink(missing_ok=True)
        await asyncio.to_thread(self._make_room, self._limit_bytes)

    async def _fetch_to(self, digest: str, path: Path) -> None:
        await self._fetch(digest, path, lambda done, total: self._notify(digest, done, total))

    def _make_room(self, limit_bytes: int) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        over = sum(size for _, size, _ in found) - limit_bytes
        for _, size, path in sorted(found):
            if over <= 0:
                break
            if path.name not in self._pins:
                with contextlib.suppress(OSError):
                    path.unlink()
                    over -= size

    def clear_incoming(self) -> None:
        """Remove what a killed agent had half fetched; to be called once, before anything is fetched."""
        for path in (self._folder / "incoming").glob("*"):
            path.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    """Whether a blob is there with the bytes it had; when a disk or a test has changed them it goes."""
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == path.name:
                return True
        log.warning("%s was changed on the disk: it is fetched again", path)
        path.unlink(missing_ok=True)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise FetchError(f"a download cannot be read: {error.strerror}") from error
    return False


def _digest_and_sync(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        # The name is given only to bytes that are on the disk: it stands for them for ever.
        os.fsync(file.fileno())
    return digest
