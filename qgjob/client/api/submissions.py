"""The `Client` methods that submit: bundles, builds, runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qgjob.client.api.base import ClientBase
from qgjob.client.api.lazy_module import LazyModule

if TYPE_CHECKING:
    from bus_schemas.builds import BuildRecord
    from bus_schemas.jobs import BlobRef
    from qgjob.client.models import SubmitRequest, Submitted, TransferProgress
    from qgjob.client.submitting import builds, bundles, packed, submit
else:  # a command uses one or two of them, and waits for the import of each
    builds = LazyModule("qgjob.client.submitting.builds")
    bundles = LazyModule("qgjob.client.submitting.bundles")
    packed = LazyModule("qgjob.client.submitting.packed")
    submit = LazyModule("qgjob.client.submitting.submit")


class SubmitMethods(ClientBase):
    """Submits runs, and uploads what they need."""

    async def upload_bundle(self, file: Path, *, progress: TransferProgress | None = None) -> BlobRef:
        """Store a packed test bundle, unless it is there already; what it returns goes into a submit.

        Raises `RefusedError` when the file is over the limit.
        """
        return await bundles.upload(self.bus, file, now=self.clock.now(), progress=progress)

    async def stored_bundle(self, digest: str) -> BlobRef | None:
        """A test bundle that was stored, by its SHA-256; None when there is none."""
        return await bundles.stored(self.bus, digest)

    async def submit(
        self, request: SubmitRequest, *, on_run_id: Callable[[str], None] | None = None
    ) -> Submitted:
        """Store a run: all of its jobs or none.

        `on_run_id` is told the run's id before the first of it is sent.

        Raises `UsageError` (a value is wrong), `RefusedError` (the run key was used for another
        submit, a job is too large), `NotFoundError` (its build was uploaded, and its bytes are not kept
        until its jobs have started), `UnreachableError` (the server stayed away for 30 s).
        """
        return await submit.submit(self.bus, request, clock=self.clock, on_run_id=on_run_id)

    async def submit_tests(
        self, request: SubmitRequest, *, folder: Path | None = None, progress: TransferProgress | None = None
    ) -> Submitted:
        """Pack the tests' bundle out of a folder of this machine, upload it, and store the run.

        `request.tests`: files, folders or globs, relative to `folder` (else the current one). Raises
        `NoTestsError` when nothing matches, else as `submit` does.
        """
        place = folder or Path.cwd()
        return await packed.submit_tests(self.bus, request, place, clock=self.clock, progress=progress)

    async def upload_app(
        self,
        path: Path,
        *,
        org_id: str,
        app_version_id: str | None = None,
        version_name: str | None = None,
        platform: str | None = None,
        app_id: str | None = None,
        progress: TransferProgress | None = None,
    ) -> BuildRecord:
        """Store a build, a file or a folder, as (organisation, app version, platform).

        Without an `app_version_id` it gets one made from its bytes, behind its `version_name` if there
        is one; the record says which. `progress` is called only when there is something to send: bytes
        that are stored already are not sent again. Raises `RefusedError` when that id has other bytes
        already, or the build is too large.
        """
        return await builds.upload(
            self.bus,
            path,
            org_id=org_id,
            app_version_id=app_version_id,
            version_name=version_name,
            platform=platform,
            app_id=app_id,
            clock=self.clock,
            progress=progress,
        )
