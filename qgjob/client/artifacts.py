"""Reads what attempts left in the object store: the cases of their reports, and small files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bus_schemas.cases import MAX_REPORT_BYTES, CaseReport
from bus_schemas.events import Attempt
from bus_schemas.jobs import BlobRef
from bus_schemas.streams import ARTIFACT_OBJECTS
from qgjob.bus.connect import Bus
from qgjob.bus.objects import get_file


async def cases(bus: Bus, attempt: Attempt) -> CaseReport | None:
    """See `Client.cases`."""
    if attempt.report is None:
        return None
    return CaseReport.decode(await read(bus, attempt.report, limit=MAX_REPORT_BYTES))


async def read(bus: Bus, blob: BlobRef, *, limit: int) -> bytes:
    """A small file as a whole; raises `RefusedError` when it is larger than `limit` bytes."""
    with tempfile.TemporaryDirectory(prefix="qgjob-artifact-") as folder:
        path = Path(folder) / "file"
        # By what is stored: the size that the job's event tells of is only said.
        await get_file(bus, ARTIFACT_OBJECTS, blob.digest, path, limit=limit)
        return path.read_bytes()
