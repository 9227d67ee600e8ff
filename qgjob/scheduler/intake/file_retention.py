"""Stores files anew that are needed longer than the store keeps them: bundles of schedules, builds in use.

The store counts from when a file was stored, whoever needs it, and cannot be told to count anew; so
what is half way to its end is stored once more.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bus_schemas import streams
from bus_schemas.crons import CronPlan
from bus_schemas.jobs import JobSpec
from qgjob.bus import objects
from qgjob.bus.connect import Bus
from qgjob.client.submitting.builds import of_version, serving
from qgjob.clock import Clock
from qgjob.errors import BadMessageError, NotFoundError, QgjobError

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 60.0
"""How often builds that were used since are checked."""
_PLANS_EVERY_S: Final = 3600.0
_OLD_S: Final = 2 * 86_400.0
"""A bundle is stored anew at this age: the store drops it at seven days, its schedule may last for years."""
_OLD_BUILD_S: Final = streams.BUILDS_KEPT_S / 2
"""The same of a build."""

_Named = tuple[str, str, str | None]
"""A build as jobs name it: organisation, app version, platform."""


@dataclass(slots=True)
class FileRetention:
    """Renews stored files within one reign."""

    bus: Bus
    clock: Clock
    plans: Callable[[], Awaitable[list[CronPlan]]]
    """The schedules."""
    _used: set[_Named] = field(default_factory=set[_Named])

    def on_spec(self, spec: JobSpec) -> None:
        """Note that a job's build is in use."""
        self._used.add((spec.org_id, spec.app_version_id, spec.platform))

    async def run(self) -> None:
        """Look for files to renew, until cancelled."""
        planned: float | None = None
        while True:
            now = self.clock.monotonic()
            used, self._used = self._used, set()
            try:
                if planned is None or now - planned >= _PLANS_EVERY_S:
                    used |= await self._keep_planned()
                    planned = now
            except QgjobError as error:
                log.warning("what schedules need could not be looked after: %s", error)
            await self._keep_builds(used)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _keep_planned(self) -> set[_Named]:
        """Keep the bundles of schedules; returns which builds they need."""
        jobs = [job for plan in await self.plans() for job in plan.jobs]
        for digest in {job.bundle.digest for job in jobs if job.bundle}:
            await self._keep_and_log(streams.BUNDLE_OBJECTS, digest, _OLD_S)
        return {(job.org_id, job.app_version_id, job.platform) for job in jobs}

    async def _keep_builds(self, builds: Iterable[_Named]) -> None:
        for named in builds:
            try:
                org_id, version, platform = named
                # Which slot a job gets, and with it whose build, shows later: any of them.
                used = await (
                    of_version(self.bus, org_id, version)
                    if platform is None
                    else serving(self.bus, org_id, version, platform)
                )
            except BadMessageError as error:  # its jobs will say so; the others' builds are kept
                log.warning("the record of a build that is in use cannot be read: %s", error)
                continue
            except QgjobError as error:
                self._used.add(named)
                log.warning("whether a build that is in use is kept is not known: %s", error)
                continue
            for build in used:
                if not await self._keep_and_log(streams.BUILD_OBJECTS, build.blob.digest, _OLD_BUILD_S):
                    self._used.add(named)

    async def _keep_and_log(self, bucket: str, digest: str, old_s: float) -> bool:
        """Renew a file if it is old; False when that has to be tried again. Errors are logged."""
        try:
            await self._keep(bucket, digest, old_s)
        except (NotFoundError, objects.CorruptObjectError) as error:  # nobody can keep it
            log.warning("a file that is needed for longer is lost: %s", error)
        except (QgjobError, OSError) as error:  # the server is away; or this machine has no room to hold it
            log.warning("a file that is needed for longer could not be stored anew yet: %s", error)
            return False
        return True

    async def _keep(self, bucket: str, digest: str, old_s: float) -> None:
        there = await objects.stat(self.bus, bucket, digest)
        if there is None or self.clock.now() - there.stored_at <= old_s:
            return
        with tempfile.TemporaryDirectory(prefix="qgjob-kept-") as folder:
            file = Path(folder) / "file"
            await objects.get_file(self.bus, bucket, digest, file)
            await objects.put_file(self.bus, bucket, file, digest)
        log.info("what is in use was stored anew: %s in %s", digest[:12], bucket)
