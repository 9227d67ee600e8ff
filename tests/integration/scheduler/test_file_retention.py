"""Schedules last for years, and builds are used for months: longer than the store keeps what is needed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import tempfile
from pathlib import Path

import pytest

from bus_schemas import streams
from bus_schemas.crons import CronPlan
from bus_schemas.jobs import BlobRef
from qgjob.bus import objects
from qgjob.bus.connect import Bus
from qgjob.client import Client, SubmitRequest
from qgjob.client.submitting.submit import make_specs
from qgjob.clock import SystemClock
from qgjob.scheduler.intake import file_retention
from qgjob.scheduler.intake.crons import Crons
from qgjob.scheduler.intake.file_retention import FileRetention
from tests.support.clock import ManualClock
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for


async def test_bundles_and_builds_of_schedules_and_builds_in_use_are_stored_anew_in_time(
    bus: Bus, tmp_path: Path
) -> None:
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

    def look_after(days: float, *, used: bool = False) -> asyncio.Task[None]:
        late = ManualClock(clock.now() + days * 86_400)
        kept = FileRetention(bus, late, Crons(bus, late).plans)
        if used:
            kept.on_spec(plan.jobs[0].model_copy(update={"app_version_id": "2"}))
        return asyncio.create_task(kept.run())

    async def anew() -> list[bool]:
        return [now != then for now, then in zip(await stored(), first, strict=True)]

    first = await stored()
    for days, used, wanted in (
        (3, True, [True, False, False]),
        (16, False, [True, True, False]),
        (16, True, [True, True, True]),
    ):
        keeping = look_after(days, used=used)

        async def is_as_wanted(wanted: list[bool] = wanted) -> bool:
            return await anew() == wanted

        await wait_for(is_as_wanted)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def test_what_one_file_meets_does_not_stop_the_others(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(bus, SystemClock())
    builds: list[BlobRef] = []
    for version in ("1", "2", "3"):
        (tmp_path / version).write_text(version)
        record = await client.upload_app(tmp_path / version, org_id="acme", app_version_id=version)
        builds.append(record.blob)
    name = base64.urlsafe_b64encode(builds[1].digest.encode()).decode()
    await bus.requests.publish(f"$O.{streams.BUILD_OBJECTS}.M.{name}", b"rubbish")
    monkeypatch.setattr(file_retention, "_LOOK_EVERY_S", 0.05)
    late = Later()
    kept = FileRetention(bus, late, Crons(bus, late).plans)
    request = SubmitRequest(org_id="acme", app_version_id="1", tests=["a.py"])
    (spec,) = make_specs(request, late.now())
    for version in ("1", "2", "3"):
        kept.on_spec(spec.model_copy(update={"app_version_id": version}))
    first = [await objects.stat(bus, streams.BUILD_OBJECTS, builds[place].digest) for place in (0, 2)]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file-system-that-is-read-only"))
    keeping = asyncio.create_task(kept.run())
    await wait_for(
        lambda: caplog.text.count("could not be stored anew yet") >= 2 and "is lost" in caplog.text
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def anew() -> bool:
        now = [await objects.stat(bus, streams.BUILD_OBJECTS, builds[place].digest) for place in (0, 2)]
        return all(a and b and a.nuid != b.nuid for a, b in zip(first, now, strict=True))

    await wait_for(anew)
    keeping.cancel()
    await asyncio.wait([keeping])


class Later(SystemClock):
    """Half a month later."""

    def now(self) -> float:
        return super().now() + 16 * 86_400


async def test_a_build_of_a_job_that_comes_in_is_in_use(
    bus: Bus,
    nats_server: NatsServer,
    valkey_server: ValkeyServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_retention, "_OLD_BUILD_S", -60.0)
    client = Client(bus, SystemClock())
    file = tmp_path / "app"
    file.write_text("app")
    build = await client.upload_app(file, org_id="acme", app_version_id="1")
    first = await objects.stat(bus, streams.BUILD_OBJECTS, build.blob.digest)
    assert first is not None
    request = SubmitRequest(org_id="acme", app_version_id="1", tests=["a.py"], runner="noop")
    await client.submit(request)

    async def anew() -> bool:
        there = await objects.stat(bus, streams.BUILD_OBJECTS, build.blob.digest)
        return there is not None and there.nuid != first.nuid

    async with scheduling(nats_server, valkey_server):
        await wait_for(anew, 20, "the build to be stored anew")


async def test_the_builds_of_all_platforms_are_in_use_where_jobs_name_none(bus: Bus, tmp_path: Path) -> None:
    client = Client(bus, SystemClock())
    blobs: dict[str | None, BlobRef] = {}
    for platform in ("android", "ios", None):
        file = tmp_path / str(platform)
        file.write_text(file.name)
        record = await client.upload_app(file, org_id="acme", app_version_id="1", platform=platform)
        blobs[platform] = record.blob

    async def stored() -> dict[str | None, str]:
        there = {each: await objects.stat(bus, streams.BUILD_OBJECTS, b.digest) for each, b in blobs.items()}
        return {each: found.nuid for each, found in there.items() if found is not None}

    first = await stored()
    steps: list[tuple[str | None, set[str | None]]] = [
        ("android", {"android"}),
        (None, {"android", "ios", None}),
    ]
    for platform, wanted in steps:
        late = Later()
        kept = FileRetention(bus, late, Crons(bus, late).plans)
        (spec,) = make_specs(
            SubmitRequest(org_id="acme", app_version_id="1", platform=platform, tests=["a.py"]), late.now()
        )
        kept.on_spec(spec)
        keeping = asyncio.create_task(kept.run())

        async def anew(wanted: set[str | None] = wanted) -> bool:
            now = await stored()
            return {each for each in blobs if now.get(each) != first[each]} == wanted

        await wait_for(anew)
        keeping.cancel()
        await asyncio.wait([keeping])
