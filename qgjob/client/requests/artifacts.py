"""What attempts left in the object store: listed, read, and downloaded under names that are safe."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bus_schemas.artifacts import Artifact, is_safe_name
from bus_schemas.cases import MAX_REPORT_BYTES, CaseReport
from bus_schemas.events import Attempt
from bus_schemas.jobs import BlobRef
from bus_schemas.queries import JobView
from bus_schemas.streams import ARTIFACT_OBJECTS
from qgjob.bus.connect import Bus
from qgjob.bus.objects import get_file
from qgjob.client.models import TransferProgress
from qgjob.errors import RefusedError


@dataclass(frozen=True, slots=True)
class JobArtifact:
    """A file that an attempt of a job left."""

    job_id: str
    attempt: int
    artifact: Artifact

    @property
    def path(self) -> str:
        """Its path below the folder of a download: `JOB/ATTEMPT/NAME`."""
        return f"{self.job_id}/{self.attempt}/{self.artifact.name}"


def of_jobs(jobs: Sequence[JobView]) -> list[JobArtifact]:
    """All that the attempts of these jobs left."""
    return [
        JobArtifact(job.job_id, attempt.number, artifact)
        for job in jobs
        for attempt in job.attempts
        for artifact in attempt.artifacts
    ]


async def cases(bus: Bus, attempt: Attempt) -> CaseReport | None:
    """See `Client.cases`."""
    if attempt.report is None:
        return None
    return CaseReport.decode(await read(bus, attempt.report, limit=MAX_REPORT_BYTES))


async def read(bus: Bus, blob: BlobRef, *, limit: int) -> bytes:
    """A small file as a whole; raises `RefusedError` when it is larger than `limit` bytes."""
    with tempfile.TemporaryDirectory(prefix="qgjob-artifact-") as folder:
        path = Path(folder) / "file"
        # By the stored size: the one in the job's event is not trusted.
        await get_file(bus, ARTIFACT_OBJECTS, blob.digest, path, limit=limit)
        return path.read_bytes()


async def download(
    bus: Bus, found: JobArtifact, folder: Path, *, progress: TransferProgress | None = None
) -> Path:
    """See `Client.download_artifact`."""
    place = _place(found, folder)
    if _is_there(place, found.artifact):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    # A folder on the way may be a link that somebody made before us.
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise RefusedError(f"{place} would be written outside {folder}.", hint="Download into a new folder.")
    await get_file(bus, ARTIFACT_OBJECTS, found.artifact.blob.digest, place, progress=progress)
    return place


def _place(found: JobArtifact, folder: Path) -> Path:
    """Where a file is written; its name comes from the bus and is not trusted."""
    if not is_safe_name(found.artifact.name) or not is_safe_name(found.job_id) or "/" in found.job_id:
        raise RefusedError(f"The artifact {found.artifact.name!r} has a name that is not safe to write.")
    return folder / found.path


def _is_there(place: Path, artifact: Artifact) -> bool:
    try:
        if place.is_symlink() or place.stat().st_size != artifact.blob.size:
            return False
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == artifact.blob.digest
    except OSError:
        return False
