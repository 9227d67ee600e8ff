"""Installs on a simulated phone through the real adb server: skipped when proved, refusals told apart."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path

import pytest

from agent.drivers.adb.device import AdbDevice
from agent.drivers.base import Build, InstallResult
from agent.errors import JobError
from tests.integration.agent.drivers.conftest import Adb, MakeApkBuild
from tests.support.adbsim import Phone, PhoneLink
from tests.support.adbsim.apk import make_apk
from tests.support.wait import wait_for

PACKAGE = "com.example.shop"


async def install(device: AdbDevice, build: Build, timeout_s: float = 30) -> InstallResult:
    return await device.install(build, timeout_s=timeout_s)


async def test_a_build_is_installed_once_and_proved(device: AdbDevice, link: PhoneLink, apk: MakeApkBuild):
    build = apk(ballast_bytes=2_000_000)
    said: list[str] = []
    first = await device.install(build, timeout_s=30, progress=said.append)
    assert (first.ok, first.skipped, said) == (True, False, [f"installing {PACKAGE} 1.0 on {link.serial}"])
    assert link.phone.packages[PACKAGE].version_code == 1
    again = await install(device, build)
    assert (again.ok, again.skipped, link.phone.calls["install"]) == (True, True, 1)
    (entry,) = device.installed()
    assert (entry.app_id, entry.app_version_id, entry.proof) == (PACKAGE, "v1", "1/2026-11-24 09:00:01")
    await device.open()  # as another agent would find it
    assert [app.app_version_id for app in device.installed()] == ["v1"]
    assert (device.installs.made, device.installs.skipped, device.installs.failed) == (1, 1, 0)


async def test_a_test_that_removed_or_replaced_the_app_is_noticed(
    device: AdbDevice, adb: Adb, apk: MakeApkBuild
):
    build = apk()
    await install(device, build)
    await device.prove("acme", "v1")
    assert device.installed()
    assert await adb("uninstall", PACKAGE) == (0, "Success\n")
    await device.prove("acme", "v1")
    assert not device.installed()
    assert not (await install(device, build)).skipped
    code, output = await adb("install", "-r", str(build.path))
    assert (code, "Success" in output) == (0, True)
    await device.prove("acme", "v1")
    assert not device.installed()  # the same version, but not what we put there


async def test_conflicts_are_uninstalled_first(device: AdbDevice, link: PhoneLink, apk: MakeApkBuild):
    phone = link.phone
    assert (await install(device, apk("v2", 2))).ok
    assert (await install(device, apk("v1", 1))).ok  # older
    assert (phone.packages[PACKAGE].version_code, phone.calls["uninstall"]) == (1, 1)
    assert (await install(device, apk("v3", 3, signature=b"theirs"))).ok
    assert (phone.packages[PACKAGE].signature, phone.calls["uninstall"]) == (b"theirs", 2)
    # Another organisation's data is not for ours to see.
    assert (await install(device, apk("v4", 4, org="globex", signature=b"theirs"))).ok
    assert phone.calls["uninstall"] == 3
    assert [(app.org_id, app.app_version_id) for app in device.installed()] == [("globex", "v4")]


@pytest.mark.parametrize(
    ("refusal", "reason", "retryable", "tries"),
    [
        ("INSTALL_FAILED_INVALID_APK", "build_broken", False, 1),
        ("INSTALL_PARSE_FAILED_NO_CERTIFICATES: no signature", "build_broken", False, 1),
        ("INSTALL_FAILED_NO_MATCHING_ABIS: res=-113", "build_unsuited", True, 1),
        ("INSTALL_FAILED_OLDER_SDK: Requires newer sdk", "build_unsuited", True, 1),
        ("INSTALL_FAILED_USER_RESTRICTED: Install canceled by user", "install_denied", True, 1),
        ("INSTALL_FAILED_INTERNAL_ERROR", "install_failed", True, 1),
        ("INSTALL_FAILED_UPDATE_INCOMPATIBLE", "install_conflict", True, 2),
        ("INSTALL_FAILED_INSUFFICIENT_STORAGE", "install_storage", True, 2),
    ],
)
async def test_refusals_have_reasons(
    device: AdbDevice,
    link: PhoneLink,
    apk: MakeApkBuild,
    refusal: str,
    reason: str,
    *,
    retryable: bool,
    tries: int,
):
    link.phone.refusals.extend([refusal] * tries)
    result = await install(device, apk())
    assert (result.ok, result.reason, result.retryable) == (False, reason, retryable)
    assert refusal.split(":", maxsplit=1)[0] in (result.detail or "")
    assert (link.phone.calls["install"], device.installed()) == (tries, ())
    assert (await install(device, apk())).ok  # and the next one is not affected


async def test_full_storage_costs_old_builds_not_the_job(device: AdbDevice, link: PhoneLink, tmp_path: Path):
    phone = link.phone

    def build(package: str) -> Build:
        path = make_apk(tmp_path / f"{package}.apk", package, ballast_bytes=3_000_000)
        return Build(org_id="acme", app_version_id=package, path=path, sha256=None)

    for package in ("com.example.one", "com.example.two"):
        assert (await install(device, build(package))).ok
    phone.free_kib = 202 * 1024
    said: list[str] = []
    result = await device.install(build("com.example.three"), timeout_s=30, progress=said.append)
    assert result.ok, result.detail
    assert set(phone.packages) == {"com.example.three"}
    assert any("2 old builds were removed" in line for line in said)
    await device.settle()
    phone.free_kib = 100 * 1024  # something else fills it, while no job runs
    health = await device.health()
    assert (health.ok, set(phone.packages), device.installed()) == (False, set(), ())
    assert "storage" in (health.detail or "")


async def test_a_link_that_breaks_within_an_install_is_the_labs_trouble(
    device: AdbDevice, link: PhoneLink, apk: MakeApkBuild
):
    link.phone.cut_install_after = 100_000
    doubts: list[str] = []
    device.on_doubt = doubts.append
    result = await install(device, apk(ballast_bytes=1_000_000))
    assert (result.ok, result.retryable) == (False, True)
    assert result.reason in {"install_link_lost", "device_lost"}
    assert not device.installed()

    async def well() -> bool:
        return (await device.recover()).ok

    device.state = "device"
    await wait_for(well, 20)
    assert (await install(device, apk(ballast_bytes=1_000_000))).ok


async def test_an_install_that_never_ends_is_given_up_and_leaves_nothing(
    device: AdbDevice, link: PhoneLink, apk: MakeApkBuild
):
    link.phone.install_stalls = True
    doubts: list[str] = []
    device.on_doubt = doubts.append
    result = await install(device, apk(), timeout_s=0.5)
    assert (result.reason, result.retryable, len(doubts)) == ("install_timeout", True, 1)
    running = asyncio.create_task(install(device, apk()))
    await wait_for(lambda: link.phone.calls["install"] == 2)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert (device.installed(), link.phone.packages) == ((), {})


async def test_a_device_that_lies_is_not_believed(device: AdbDevice, link: PhoneLink, apk: MakeApkBuild):
    link.phone.install_lies = True
    result = await install(device, apk())
    assert (result.ok, result.retryable, device.installed()) == (False, True, ())
    assert "says Success" in (result.detail or "")


async def test_a_build_that_is_no_apk_never_reaches_the_device(
    device: AdbDevice, link: PhoneLink, apk: MakeApkBuild, tmp_path: Path
):
    await install(device, apk("v0", 1))
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not an app")
    build = Build(org_id="acme", app_version_id="v1", path=path, sha256=None)
    result = await install(device, build)
    assert (result.ok, result.reason, result.retryable) == (False, "build_no_apk", False)
    result = await install(device, Build(org_id="acme", app_version_id="v3"))
    assert (result.reason, result.retryable) == ("build_missing", False)
    assert link.phone.calls["install"] == 1
    assert [app.app_version_id for app in device.installed()] == ["v0"]  # the former one is untouched


async def test_old_androids_get_the_file_first(device: AdbDevice, link: PhoneLink, apk: MakeApkBuild):
    """Before Android 7 the package manager takes no stream, and the shell tells no exit codes."""
    device.features = frozenset({"stat_v2"})
    build = apk(ballast_bytes=300_000)
    assert (await install(device, build)).ok
    assert (link.phone.packages[PACKAGE].version_code, link.phone.files) == (1, {})
    assert (await install(device, build)).skipped
    link.phone.refusals.append("INSTALL_FAILED_INVALID_APK")
    assert (await install(device, apk("v2", 2))).reason == "build_broken"


async def test_what_a_job_is_told_and_what_it_leaves(
    device: AdbDevice, link: PhoneLink, adb: Adb, apk: MakeApkBuild, tmp_path: Path, host: object
):
    with pytest.raises(JobError, match="is not installed"):
        await device.start_app(PACKAGE, timeout_s=5)
    await install(device, apk())
    app = await device.start_app(PACKAGE, timeout_s=5)
    assert app.package == PACKAGE
    assert {name: app.env[name] for name in ("ANDROID_SERIAL", "QGJOB_UDID", "QGJOB_APP_PACKAGE")} == {
        "ANDROID_SERIAL": link.serial,
        "QGJOB_UDID": link.serial,
        "QGJOB_APP_PACKAGE": PACKAGE,
    }
    assert app.env["ANDROID_ADB_SERVER_PORT"] == str(device.server.port)
    async with PhoneLink(Phone()) as other:
        await device.server.connect(other.serial)
        await adb("forward", "tcp:0", "tcp:6790")
        _, kept = await adb("-s", other.serial, "forward", "tcp:0", "tcp:6790")
        await adb("reverse", "tcp:8081", "tcp:8081")
        assert link.phone.reversed_ports
        await device.evidence(tmp_path / "evidence")
        assert (tmp_path / "evidence" / "screenshot.png").read_bytes().startswith(b"\x89PNG")
        assert "sim: hello" in (tmp_path / "evidence" / "logcat.txt").read_text()
        await device.settle()
        assert (link.phone.stopped, link.phone.reversed_ports) == ([PACKAGE], set())
        _, forwards = await adb("forward", "--list")
        assert forwards.split() == [other.serial, f"tcp:{kept.strip()}", "tcp:6790"]  # not ours to end


def test_the_ledger_of_the_last_release_is_read(tmp_path: Path):
    from agent.drivers.ledger import Ledger

    path = tmp_path / "installed.json"
    digest = hashlib.sha256(b"x").hexdigest()
    path.write_text(
        '{"installed": [{"org_id": "acme", "app_version_id": "v1", "app_id": "app", '
        f'"sha256": "{digest}", "installed_at": 5.0}}]}}'
    )
    ledger = Ledger(path)
    ledger.load()
    assert [(entry.sha256, entry.proof) for entry in ledger.entries] == [(digest, None)]
