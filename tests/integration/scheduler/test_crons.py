"""Schedules last for years, longer than the store keeps what their jobs need."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from bus_schemas import streams
from bus_schemas.crons import CronPlan
from bus_schemas.jobs import BlobRef
from qgjob.bus import objects
from qgjob.bus.connect import Bus
from qgjob.client import Client, SubmitRequest
from qgjob.client.submit import make_specs
from qgjob.clock import ManualClock, SystemClock
from qgjob.scheduler.crons import Crons
from tests.support.wait import wait_for

pytestmark = pytest.mark.integration


async def test_bundles_and_builds_of_schedules_are_stored_anew_in_time(bus: Bus, tmp_path: Path) -> None:
    clock = SystemClock()
    client = Client(bus, clock)
    used, unused, packed = tmp_path / "used", tmp_path / "unused", tmp_path / "bundle"
    for path in (used, unused, packed):
        path.write_text(path.name)
    build = await client.upload_app(used, org_id="acme", app_version_id="1", platform=None)
    other = await client.upload_app(unused, org_id="acme", app_version_id="2")
    bundle = await client.upload_bundle(packed)
    request = SubmitRequest(
        org_id="acme", app_version_id="1", platform="android", tests=["a.py"], bundle=bundle
    )
    plan = CronPlan(
        schedule_id="c_1",
        org_id="acme",
        expression="@hourly",
        by="ann",
        created_at=clock.now(),
        jobs=tuple(make_specs(request, clock.now())),
    )
    await Crons(bus, clock).add(plan.encode())

    async def nuid(bucket: str, blob: BlobRef) -> str:
        """Another one each time that a file is stored."""
        found = await objects.stat(bus, bucket, blob.digest)
        assert found is not None
        return found.nuid

    async def stored() -> list[str]:
        return [
            await nuid(streams.BUNDLE_OBJECTS, bundle),
            await nuid(streams.BUILD_OBJECTS, build.blob),
            await nuid(streams.BUILD_OBJECTS, other.blob),
        ]

    def look_after(days: float) -> asyncio.Task[None]:
        crons = Crons(bus, ManualClock(clock.now() + days * 86_400))
        return asyncio.create_task(crons.keep_files())

    async def anew() -> list[bool]:
        return [now != then for now, then in zip(await stored(), first, strict=True)]

    first = await stored()
    for days, wanted in ((3, [True, False, False]), (16, [True, True, False])):
        keeping = look_after(days)

        async def is_as_wanted(wanted: list[bool] = wanted) -> bool:
            return await anew() == wanted

        await wait_for(is_as_wanted)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
