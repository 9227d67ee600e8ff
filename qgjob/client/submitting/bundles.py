"""Upload a packed test bundle, once for as long as it stays stored."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from bus_schemas.jobs import BlobRef
from bus_schemas.streams import BUNDLE_OBJECTS
from qgjob.bus import objects
from qgjob.bus.connect import Bus
from qgjob.client.models import TransferProgress
from qgjob.domain.wording import show_size
from qgjob.errors import RefusedError, UsageError

MAX_BUNDLE_BYTES: Final = 50 * 2**20
REUSE_FOR_S: Final = 24 * 3600
"""A stored bundle that is older is stored anew: it must outlive the jobs that wait for it, and
the store drops files by their age."""


async def upload(bus: Bus, file: Path, *, now: float, progress: TransferProgress | None = None) -> BlobRef:
    """See `Client.upload_bundle`."""
    blob = blob_of(file)
    if blob.size > MAX_BUNDLE_BYTES:
        raise RefusedError(
            f"The test bundle has {show_size(blob.size)}; at most {show_size(MAX_BUNDLE_BYTES)} are taken.",
            hint="Leave out what the tests do not need with a .qgjobignore.",
        )
    await store(bus, BUNDLE_OBJECTS, file, blob, now=now, progress=progress)
    return blob


async def stored(bus: Bus, digest: str) -> BlobRef | None:
    """See `Client.stored_bundle`."""
    there = await objects.stat(bus, BUNDLE_OBJECTS, digest)
    return None if there is None else BlobRef(digest=digest, size=there.size)


async def store(
    bus: Bus,
    bucket: str,
    file: Path,
    blob: BlobRef,
    *,
    now: float,
    progress: TransferProgress | None = None,
) -> bool:
    """Store a file unless it is there and young enough; True when it was sent."""
    there = await objects.stat(bus, bucket, blob.digest)
    if there is not None and there.size == blob.size and now - there.stored_at < REUSE_FOR_S:
        return False
    await objects.put_file(bus, bucket, file, blob.digest, progress=progress)
    return True


def blob_of(file: Path) -> BlobRef:
    """The SHA-256 and size of a file; raises `UsageError` when it cannot be read."""
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            size = opened.tell()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from None
    return BlobRef(digest=digest, size=size)
