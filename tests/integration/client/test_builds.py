from __future__ import annotations

import asyncio
import dataclasses
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bus_schemas.builds import BuildRecord, build_key
from bus_schemas.jobs import BlobRef
from bus_schemas.streams import BUILD_OBJECTS, BUILDS_BUCKET, BUILDS_KEPT_S, BUNDLE_OBJECTS
from qgjob.bus import kv, objects
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import publish_each
from qgjob.cli.help.completing import uploaded
from qgjob.client import Client, SubmitRequest
from qgjob.client.submitting import bundles
from qgjob.client.submitting.builds import MAX_BUILD_BYTES
from qgjob.errors import NotFoundError, RefusedError, UsageError
from tests.support.clock import ManualClock

ORG = "acme.*> ü"


def make_zip(path: Path, text: str = "hello") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app/main.txt"), text)
    return path


def make_tar(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("main.txt")
        entry.size = 100_000
        archive.addfile(entry, io.BytesIO(os.urandom(100_000)))
    return path


async def test_a_build_is_stored_and_listed(client: Client, folder: Path):
    path = make_zip(folder / "app.zip")
    record = await client.upload_app(
        path, org_id=ORG, app_version_id="1.0 (7)", app_id="com.acme", platform="android"
    )
    assert (record.format, record.file_name, record.blob.size) == ("zip", "app.zip", path.stat().st_size)
    assert await client.builds() == [record]
    assert await client.builds(org_id=ORG) == [record]
    assert await client.builds(org_id="other") == []
    await objects.get_file(client.bus, BUILD_OBJECTS, record.blob.digest, folder / "copy")
    assert (folder / "copy").read_bytes() == path.read_bytes()


async def test_the_same_build_again_is_accepted_and_other_bytes_are_refused(client: Client, folder: Path):
    first = await client.upload_app(make_zip(folder / "a.zip"), org_id=ORG, app_version_id="1")
    again = await client.upload_app(make_zip(folder / "a.zip"), org_id=ORG, app_version_id="1")
    assert again == first
    with pytest.raises(RefusedError, match="other bytes"):
        await client.upload_app(make_zip(folder / "b.zip", "changed"), org_id=ORG, app_version_id="1")
    assert await client.builds() == [first]


async def test_the_id_of_an_app_may_be_given_later_and_stays(client: Client, folder: Path):
    path = make_zip(folder / "a.zip")
    first = await client.upload_app(path, org_id=ORG, app_version_id="1")
    assert first.app_id is None
    named = await client.upload_app(path, org_id=ORG, app_version_id="1", app_id="com.acme")
    assert named == first.model_copy(update={"app_id": "com.acme"})
    assert await client.upload_app(path, org_id=ORG, app_version_id="1") == named
    assert await client.builds() == [named]
    both = await asyncio.gather(
        *(client.upload_app(path, org_id=ORG, app_version_id="1", app_id=f"com.{n}") for n in range(3))
    )
    (kept,) = await client.builds()
    assert kept in both


async def test_a_build_that_nobody_named_is_called_by_its_bytes_and_sent_once(client: Client, folder: Path):
    sent: list[int] = []

    def progress(done: int, total: int) -> None:
        sent.append(done * 100 // total)

    path = make_zip(folder / "a.zip")
    first = await client.upload_app(path, org_id=ORG, version_name="2.0 beta", progress=progress)
    assert first.app_version_id == f"2.0_beta-{first.blob.digest[:12]}"
    assert sent[-1] == 100
    sent.clear()
    copy = make_zip(folder / "copy.zip")
    assert await client.upload_app(copy, org_id=ORG, version_name="2.0 beta", progress=progress) == first
    assert (await client.upload_app(copy, org_id=ORG, progress=progress)).blob == first.blob
    assert sent == []
    other = await client.upload_app(make_zip(folder / "b.zip", "x"), org_id=ORG, version_name="2.0 beta")
    assert other.app_version_id != first.app_version_id


async def test_platforms_and_organisations_have_builds_of_their_own(client: Client, folder: Path):
    path, other = make_zip(folder / "a.zip"), make_zip(folder / "b.zip", "x")
    await client.upload_app(path, org_id=ORG, app_version_id="1", platform="android")
    await client.upload_app(other, org_id=ORG, app_version_id="1", platform="ios")
    await client.upload_app(other, org_id="b", app_version_id="1", platform="android")
    assert len(await client.builds()) == 3


async def test_a_folder_is_packed_to_the_same_bytes_every_time(client: Client, folder: Path):
    app = folder / "My.app"
    (app / "Contents").mkdir(parents=True)
    (app / "Contents" / "main").write_text("x")
    (app / "Contents" / "main").chmod(0o755)
    (app / "link").symlink_to("Contents/main")
    first = await client.upload_app(app, org_id=ORG, app_version_id="1")
    os.utime(app / "Contents" / "main", (1, 1))
    assert await client.upload_app(app, org_id=ORG, app_version_id="1") == first
    assert (first.format, first.file_name) == ("tar.gz", "My.app.tar.gz")


@pytest.mark.parametrize(
    ("name", "wanted"), [("a.apk", "file"), ("a.ipa", "file"), ("a.bin", "zip"), ("a.ZIP", "zip")]
)
async def test_formats_by_name_and_content(client: Client, folder: Path, name: str, wanted: str):
    record = await client.upload_app(make_zip(folder / name), org_id=ORG, app_version_id="1")
    assert record.format == wanted


async def test_any_file_may_be_a_build(client: Client, folder: Path):
    (folder / "server.py").write_text("print(1)")
    assert (await client.upload_app(folder / "server.py", org_id=ORG, app_version_id="1")).format == "file"
    record = await client.upload_app(make_tar(folder / "a.tgz"), org_id=ORG, app_version_id="2")
    assert record.format == "tar.gz"


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tgz", "a.tar"])
async def test_a_corrupt_archive_is_refused_before_anything_is_stored(
    client: Client, folder: Path, name: str
):
    whole = make_zip(folder / "w") if name.endswith("zip") else make_tar(folder / "w")
    (folder / name).write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(UsageError, match="not a whole"):
        await client.upload_app(folder / name, org_id=ORG, app_version_id="1")
    assert await client.builds() == []
    state = await client.bus.requests.api(f"STREAM.INFO.OBJ_{BUILD_OBJECTS}")
    assert state["state"]["messages"] == 0


async def test_a_path_that_is_not_there(client: Client, folder: Path):
    with pytest.raises(UsageError, match="does not exist"):
        await client.upload_app(folder / "none.apk", org_id=ORG, app_version_id="1")


async def test_nothing_is_no_build(client: Client, folder: Path):
    """A build step that failed may leave it: some tests would pass against it."""
    (folder / "empty.apk").touch()
    (folder / "build").mkdir()
    os.mkfifo(folder / "pipe.apk")
    for name, why in {"empty.apk": "is empty", "build": "is empty", "pipe.apk": "neither a file nor"}.items():
        with pytest.raises(UsageError, match=why):
            await client.upload_app(folder / name, org_id=ORG, app_version_id="1")
    assert await client.builds() == []


async def test_two_uploads_at_once_of_different_bytes_let_one_win(client: Client, folder: Path):
    one, two = make_zip(folder / "a.zip", "1"), make_zip(folder / "b.zip", "2")
    results = await asyncio.gather(
        *(client.upload_app(path, org_id=ORG, app_version_id="1") for path in (one, two)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["BuildRecord", "RefusedError"]


def submit_of(version: str, *, key: str | None = None, platform: str | None = None) -> SubmitRequest:
    return SubmitRequest(
        org_id=ORG, app_version_id=version, tests=["a.py"], run_key=key, platform=platform, expires_s=3600
    )


async def drop_bytes(client: Client) -> None:
    """What the server does with the bytes of builds when they are old."""
    await client.bus.requests.api(f"STREAM.PURGE.OBJ_{BUILD_OBJECTS}")


@pytest.mark.parametrize("platform", [None, "android"])
async def test_a_submit_of_a_build_whose_bytes_are_gone_is_refused_until_they_are_back(
    client: Client, folder: Path, platform: str | None
):
    path = make_zip(folder / "my app.zip")
    record = await client.upload_app(path, org_id=ORG, app_version_id="1", platform=platform)
    first = await client.submit(submit_of("1", key="before", platform="android"))
    await drop_bytes(client)
    with pytest.raises(
        NotFoundError, match="not stored any more: unused, they are kept for 30 days"
    ) as refused:
        await client.submit(submit_of("1", key="after", platform="android"))
    wanted = "(it was my app.zip): qgjob app upload FILE --org-id 'acme.*> ü' --app-version-id 1"
    assert refused.value.hint is not None
    assert wanted in refused.value.hint
    assert ("--platform android" in refused.value.hint) == (platform is not None)
    again = await client.submit(submit_of("1", key="before", platform="android"))
    assert (again.accepted_before, again.run_id) == (True, first.run_id)
    assert await client.upload_app(path, org_id=ORG, app_version_id="1", platform=platform) == record
    assert not (await client.submit(submit_of("1", key="after", platform="android"))).accepted_before


@pytest.mark.parametrize(
    "labels", [{"target": "android"}, {"requires": ["android", "pixel"]}, {"matrix": ["ios", "android"]}]
)
async def test_a_submit_for_slots_of_a_platform_needs_that_ones_build(
    client: Client, folder: Path, labels: dict[str, Any]
):
    path = make_zip(folder / "a.zip")
    await client.upload_app(path, org_id=ORG, app_version_id="1", platform="android")
    await drop_bytes(client)
    await client.upload_app(make_zip(folder / "b.zip", "x"), org_id=ORG, app_version_id="1", platform="ios")
    await client.submit(dataclasses.replace(submit_of("1"), target="ios"))
    with pytest.raises(NotFoundError, match="not stored any more") as refused:
        await client.submit(dataclasses.replace(submit_of("1"), **labels))
    assert "--platform android" in (refused.value.hint or "")
    await client.upload_app(path, org_id=ORG, app_version_id="1", platform="android")
    await client.submit(dataclasses.replace(submit_of("1"), **labels))


async def test_a_submit_for_any_of_several_platforms_needs_one_of_their_builds(client: Client, folder: Path):
    """Which of them its slots take, nobody knows before they do."""
    await client.upload_app(make_zip(folder / "a.zip"), org_id=ORG, app_version_id="1", platform="android")
    both = dataclasses.replace(submit_of("1"), requires=["android", "emulator"])
    await drop_bytes(client)
    await client.upload_app(
        make_zip(folder / "b.zip", "x"), org_id=ORG, app_version_id="1", platform="emulator"
    )
    await client.submit(both)
    await drop_bytes(client)
    with pytest.raises(NotFoundError, match="not stored any more"):
        await client.submit(both)


async def test_a_submit_whose_build_would_go_before_its_jobs_start_is_refused(client: Client, folder: Path):
    await client.upload_app(make_zip(folder / "a.zip"), org_id=ORG, app_version_id="1")
    clock = ManualClock(client.clock.now() + BUILDS_KEPT_S - 3600 - 60)
    later = Client(client.bus, clock)
    await later.submit(submit_of("1"))
    clock.advance(120)
    with pytest.raises(NotFoundError, match="only, and its jobs may start later"):
        await later.submit(submit_of("1"))


async def test_a_version_without_a_build_and_a_server_without_builds_are_no_reason_to_refuse(client: Client):
    await client.submit(submit_of("never uploaded"))
    await client.bus.requests.api("STREAM.DELETE.KV_qg_builds")
    await client.submit(submit_of("never uploaded"))


async def test_a_bundle_is_sent_once_until_it_is_a_day_old(client: Client, folder: Path):
    path = folder / "bundle.tar.gz"
    path.write_bytes(os.urandom(300_000))
    sent: list[int] = []
    blob = await client.upload_bundle(path, progress=lambda done, _: sent.append(done))
    assert await client.upload_bundle(path, progress=lambda done, _: sent.append(done)) == blob
    assert len(sent) == len(set(sent))
    later = client.clock.now() + bundles.REUSE_FOR_S + 60
    before = len(sent)
    await bundles.upload(client.bus, path, now=later, progress=lambda done, _: sent.append(done))
    assert len(sent) > before
    assert await objects.stat(client.bus, BUNDLE_OBJECTS, blob.digest)


async def test_a_bundle_over_the_limit_is_refused(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundles, "MAX_BUNDLE_BYTES", 1000)
    path = folder / "bundle.tar.gz"
    path.write_bytes(b"x" * 1001)
    with pytest.raises(RefusedError, match="at most"):
        await client.upload_bundle(path)


async def test_a_shell_completes_versions_in_a_lab_that_has_seen_many(client: Client):
    blob = BlobRef(digest="0" * 64, size=1)
    records = [
        BuildRecord(
            org_id="many",
            app_version_id=f"v{number:04d}",
            blob=blob,
            file_name="app",
            format="file",
            uploaded_at=1.0,
        )
        for number in range(1100)  # more than the last messages that the server gives in one answer
    ]
    await publish_each(
        client.bus,
        [
            OutMsg(kv.key_subject(BUILDS_BUCKET, build_key("many", record.app_version_id)), record.encode())
            for record in records
        ],
        timeout=30,
    )
    words = [word for word, what in await uploaded(client.bus) if what == "build of many"]
    assert words == [record.app_version_id for record in records]


async def test_a_build_that_is_too_large_is_refused_before_it_is_read(client: Client, folder: Path) -> None:
    path = folder / "enormous.tar.gz"
    with path.open("wb") as file:
        file.truncate(MAX_BUILD_BYTES + 1)
    with pytest.raises(RefusedError, match="at most 2 GiB are taken"):  # and not that it is no archive
        await client.upload_app(path, org_id=ORG, app_version_id="1")


async def test_a_package_that_was_cut_off_is_not_stored(client: Client, folder: Path) -> None:
    whole = make_zip(folder / "shop.apk").read_bytes()
    path = folder / "half.apk"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"half\.apk was cut off"):
        await client.upload_app(path, org_id=ORG, app_version_id="1")
    path.write_bytes(whole)
    record = await client.upload_app(path, org_id=ORG, app_version_id="1")
    assert (record.format, record.file_name) == ("file", "half.apk")
