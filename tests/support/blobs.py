"""Where an agent under test gets its blobs from."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from agent.errors import FetchError
from agent.storage.transfer import Transferred


class Source:
    """Where blobs come from: counts how often it is asked."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.gate: asyncio.Event | None = None

    def add(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    async def fetch(self, digest: str, path: Path, progress: Transferred) -> None:
        self.fetched.append(digest)
        progress(0, len(self.blobs.get(digest, b"")))
        if self.gate is not None:
            await self.gate.wait()
        if digest not in self.blobs:
            raise FetchError("there is no such blob")
        path.write_bytes(self.blobs[digest])
        progress(len(self.blobs[digest]), len(self.blobs[digest]))
