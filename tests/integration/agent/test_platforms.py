"""Which of a version's builds a slot installs: that of its platform, which is one of its labels."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from agent.errors import JobError
from agent.storage.files import JobFiles
from bus_schemas.jobs import JobSpec
from qgjob.bus.connect import Bus
from qgjob.client import Client
from qgjob.client.models import WaitOptions
from qgjob.clock import SystemClock
from tests.support.pipeline import counts_reached, system
from tests.support.runs import planned, submit

ANDROID = frozenset({"android", "android-14", "emulator", "serial:emulator-5554"})
IOS = frozenset({"ios", "device"})


class Registry:
    """Builds of one version, and what slots get of them."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self.devices = JobFiles(client.bus, folder / "cache", needs_build=True)
        self.folders = JobFiles(client.bus, folder / "cache-2", needs_build=False)
        for files in (self.devices, self.folders):
            files.open()

    async def upload(self, *platforms: str | None) -> None:
        for platform in platforms:
            file = self._folder / f"{platform}.apk"
            file.write_text(f"for {platform}")
            await self._client.upload_app(file, org_id="bench", app_version_id="v1", platform=platform)

    async def taken(self, labels: frozenset[str], platform: str | None = None) -> str | None:
        async with self.devices.build(spec(platform), labels, lambda _: None, _unheard) as build:
            return build.path.read_text() if build.path else None


def spec(platform: str | None = None) -> JobSpec:
    return planned(1, runner="noop").specs[0].model_copy(update={"platform": platform})


async def _unheard(_text: str) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def registry(bus: Bus, tmp_path: Path) -> Registry:
    folder = tmp_path / "files"
    folder.mkdir()
    return Registry(Client(bus, SystemClock()), folder)


async def test_a_slot_takes_the_build_of_its_platform(registry: Registry) -> None:
    await registry.upload("android", "ios")
    assert await registry.taken(ANDROID) == "for android"
    assert await registry.taken(IOS) == "for ios"
    assert await registry.taken(IOS, "android") == "for android", "who says which gets that"


async def test_the_build_for_all_is_for_slots_that_no_other_is_for(registry: Registry) -> None:
    await registry.upload("android", None)
    assert await registry.taken(ANDROID) == "for android"
    assert await registry.taken(IOS) == "for None"
    assert await registry.taken(ANDROID, "ios") == "for None"


async def test_a_slot_of_another_platform_takes_none(registry: Registry) -> None:
    await registry.upload("android")
    with pytest.raises(JobError) as refused:
        await registry.taken(IOS)
    assert refused.value.reason == "build_missing"


async def test_of_two_platforms_that_a_slot_is_none_is_guessed(registry: Registry) -> None:
    await registry.upload("android", "emulator", "ios")
    with pytest.raises(JobError, match="for android and emulator, and the slot is all of these") as refused:
        await registry.taken(ANDROID)
    assert (refused.value.reason, refused.value.retryable) == ("build_ambiguous", False)
    assert await registry.taken(ANDROID, "emulator") == "for emulator"
    await registry.upload(None)
    assert await registry.taken(ANDROID) == "for None"


async def test_what_is_absent_for_one_slot_may_be_there_for_another(registry: Registry) -> None:
    await registry.upload("ios")
    job, files = spec(), registry.folders
    async with files.build(job, ANDROID, lambda _: None, _unheard) as build:
        assert build.path is None
    assert files.known_missing(job, ANDROID)
    assert not files.known_missing(job, IOS)
    async with files.build(spec("android"), IOS, lambda _: None, _unheard) as build:
        assert build.path is None
    assert files.known_missing(spec("android"), ANDROID), "who says which gets it on no slot"


async def test_jobs_of_one_run_meet_the_builds_of_their_slots(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[device.s0]\nlabels = ["android"]\n[device.s1]\nlabels = ["ios"]\n')
    given = system(tmp_path / "up", agents=1, slots=2, agent_args=("--config", str(config)))
    async with given as (_, bus):
        client = Client(bus, SystemClock())
        for platform in ("android", "ios"):
            app = tmp_path / platform
            app.mkdir()
            (app / "platform.txt").write_text(platform)
            await client.upload_app(app, org_id="bench", app_version_id="v1", platform=platform)
        for platform in ("android", "ios"):
            look = f'test "$(cat "$QGJOB_APP_DIR/platform.txt")" = {platform}'
            run = planned(1, runner="command", argv=("sh", "-c", look), requires=(platform,))
            await submit(bus, run)
            await counts_reached(bus, run.run_id, {"passed": 1})


async def test_a_slot_does_not_take_the_build_of_another_platform_for_the_one_that_is_asked_for(
    tmp_path: Path,
) -> None:
    async with system(tmp_path / "up", agents=1, slots=1) as (_, bus):
        client = Client(bus, SystemClock())
        for platform in ("android", "ios"):
            app = tmp_path / platform
            app.mkdir()
            (app / "platform.txt").write_text(platform)
            await client.upload_app(app, org_id="bench", app_version_id="v1", platform=platform)
        installed: list[bool] = []
        for platform in ("android", "ios", "ios", "android", "windows", "android"):
            look = f'test "$(cat "$QGJOB_APP_DIR/platform.txt")" = {platform}'
            if platform == "windows":  # of which there is none
                look = 'test -z "$QGJOB_APP_DIR"'
            run = planned(1, runner="command", argv=("sh", "-c", look))
            run.specs[0] = run.specs[0].model_copy(update={"platform": platform})
            await submit(bus, run)
            await counts_reached(bus, run.run_id, {"passed": 1})
            waited = await client.wait(run.run_id, WaitOptions(timeout_s=10))
            installed.append(waited.jobs[0].attempts[0].installed)
        assert installed == [True, True, False, True, True, True]


async def test_a_build_that_is_there_is_found_again_by_an_agent_that_was_started_anew(tmp_path: Path) -> None:
    async with system(tmp_path / "up", agents=1, slots=1) as (running, bus):
        client = Client(bus, SystemClock())
        app = tmp_path / "app"
        app.mkdir()
        (app / "file").write_text("x")
        await client.upload_app(app, org_id="bench", app_version_id="v1")
        for installed in (True, False):
            run = planned(1, runner="command", argv=("sh", "-c", 'test -f "$QGJOB_APP_DIR/file"'))
            await submit(bus, run)
            await counts_reached(bus, run.run_id, {"passed": 1})
            waited = await client.wait(run.run_id, WaitOptions(timeout_s=10))
            assert waited.jobs[0].attempts[0].installed is installed
            if installed:
                os.kill(next(pid for name, pid in running.pids().items() if "agent" in name), signal.SIGKILL)
