"""Fetches a job's bundle and build from the object store, through this machine's caches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from agent.drivers.base import DEFAULT_APP_ID, Build
from agent.errors import FetchError, JobError
from agent.storage.bundles import BundleStore
from agent.storage.cache import DEFAULT_LIMIT_BYTES, BlobCache
from agent.storage.removal import remove_tree
from agent.storage.room import require_room
from agent.storage.transfer import Tell, Transferred, throttled_progress
from bus_schemas.builds import BuildRecord, build_key, serving_builds, serving_keys
from bus_schemas.jobs import JobSpec
from bus_schemas.streams import BUILD_OBJECTS, BUILDS_BUCKET, BUNDLE_OBJECTS
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_last
from qgjob.bus.objects import get_file
from qgjob.domain.wording import show_size
from qgjob.errors import BadMessageError, NotFoundError, QgjobError

Say = Callable[[str], None]

_LOOK_AGAIN_S: Final = 10.0
_MAX_ABSENT: Final = 1000


_Sought = tuple[str, AbstractSet[str]]


class JobFiles:
    """What the slots of one agent share: downloaded blobs and unpacked bundles.

    `needs_build` False: a version without an uploaded build is a mere marker.
    """

    def __init__(
        self, bus: Bus, folder: Path, *, needs_build: bool, limit_bytes: int = DEFAULT_LIMIT_BYTES
    ) -> None:
        self._bus = bus
        self._needs_build = needs_build
        self._absent: dict[_Sought, float] = {}
        self._builds = BlobCache(folder / "builds", self._fetch_build, limit_bytes=limit_bytes)
        self._blobs = BlobCache(folder / "blobs", self._fetch_bundle, limit_bytes=limit_bytes)
        self._bundles = BundleStore(folder / "bundles", self._blobs, limit_bytes=limit_bytes)

    def open(self, discard: Callable[[Path], None] = remove_tree) -> None:
        """Begin: what a former agent left half-done is cleared; `discard` has a folder away. Blocking."""
        self._bundles.open(discard)
        self._builds.clear_incoming()
        self._blobs.clear_incoming()

    def known_missing(self, spec: JobSpec, labels: AbstractSet[str]) -> bool:
        """Whether no build was uploaded that a slot with these labels could take, as of a few seconds ago."""
        looked = self._absent.get(_sought(spec, labels))
        return looked is not None and time.monotonic() - looked < _LOOK_AGAIN_S

    async def unpack_bundle(self, spec: JobSpec, into: Path, tell: Tell) -> None:
        """Put a working copy of the job's bundle at a new folder; raises `JobError`.

        `tell` hears of a download that takes its time.
        """
        if spec.bundle is not None:
            async with throttled_progress(tell) as progress:
                await self._bundles.check_out(spec.bundle.digest, into, progress)

    async def return_bundle(self, path: Path) -> None:
        """Take a working copy back; never raises."""
        await self._bundles.check_in(path)

    async def digest(self, spec: JobSpec, labels: AbstractSet[str]) -> str | None:
        """Which build the job gets on a slot with these labels; None when none was uploaded.

        Raises `JobError` when the registry cannot be asked, or names several.
        """
        record = await self._record(spec, labels)
        return record.blob.digest if record else None

    @contextlib.asynccontextmanager
    async def build(
        self, spec: JobSpec, labels: AbstractSet[str], say: Say, tell: Tell
    ) -> AsyncGenerator[Build]:
        """The job's build for a slot with these labels, its file there within the block.

        A marker when none was uploaded. `say` writes into the job's log, `tell` hears of a download that
        takes its time. Raises `JobError`: `build_missing` on devices that need a real one.
        """
        record = await self._record(spec, labels)
        app_id = spec.app_id or (record.app_id if record else None) or DEFAULT_APP_ID
        if record is None:
            if self._needs_build:
                raise JobError(
                    f"no build {spec.app_version_id} of {spec.org_id} was uploaded",
                    reason="build_missing",
                    retryable=False,
                    hint="Upload it with `qgjob app upload`.",
                )
            yield Build(org_id=spec.org_id, app_version_id=spec.app_version_id, app_id=app_id)
            return
        say(f"fetching {record.file_name} ({show_size(record.blob.size)})")
        async with contextlib.AsyncExitStack() as stack:
            async with throttled_progress(tell) as progress:
                path = await stack.enter_async_context(self._builds.hold(record.blob.digest, progress))
            yield Build(
                org_id=spec.org_id,
                app_version_id=spec.app_version_id,
                app_id=app_id,
                path=path,
                sha256=record.blob.digest,
                file_name=record.file_name if record.format == "file" else None,
            )

    async def _record(self, spec: JobSpec, labels: AbstractSet[str]) -> BuildRecord | None:
        keys = serving_keys(spec.org_id, spec.app_version_id, spec.platform, labels)
        patterns = [kv.key_subject(BUILDS_BUCKET, key) for key in keys]
        try:
            stored = await read_last(self._bus, f"KV_{BUILDS_BUCKET}", patterns)
            found = [BuildRecord.decode(entry.data) for entry in stored if not entry.deleted]
        except BadMessageError as error:
            raise JobError(
                f"the record of build {spec.app_version_id} cannot be read: {error.message}",
                reason="build_broken",
                retryable=False,
            ) from error
        except QgjobError as error:
            raise FetchError(f"the registry of builds cannot be asked: {error.message}") from error
        serving = serving_builds(found, spec.platform, labels)
        if len(serving) > 1:
            platforms = " and ".join(sorted(record.platform or "" for record in serving))
            raise JobError(
                f"build {spec.app_version_id} was uploaded for {platforms}, and the slot is all of these",
                reason="build_ambiguous",
                retryable=False,
                hint="Say which with `qgjob submit --platform`.",
            )
        if serving:
            return serving[0]
        while len(self._absent) >= _MAX_ABSENT:
            del self._absent[next(iter(self._absent))]
        self._absent[_sought(spec, labels)] = time.monotonic()
        return None

    async def _fetch_build(self, digest: str, dest: Path, progress: Transferred) -> None:
        await self._fetch(BUILD_OBJECTS, digest, dest, progress, "build_missing")

    async def _fetch_bundle(self, digest: str, dest: Path, progress: Transferred) -> None:
        await self._fetch(BUNDLE_OBJECTS, digest, dest, progress, "bundle_missing")

    async def _fetch(self, bucket: str, digest: str, dest: Path, progress: Transferred, reason: str) -> None:
        def has_size(size: int) -> None:
            require_room(dest.parent, size)

        try:
            await get_file(self._bus, bucket, digest, dest, progress=progress, on_size=has_size)
        except NotFoundError as error:
            raise FetchError(error.message, reason=reason, retryable=False) from error
        except QgjobError as error:
            raise FetchError(error.message) from error


def _sought(spec: JobSpec, labels: AbstractSet[str]) -> _Sought:
    """What is looked for in the registry: a build for one platform, or for the labels of a slot."""
    key = build_key(spec.org_id, spec.app_version_id, spec.platform)
    return key, frozenset() if spec.platform is not None else labels
