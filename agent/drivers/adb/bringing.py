"""Brings a build onto a device: checks what is there before and after, resolves conflicts, frees storage."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.drivers.adb import facts
from agent.drivers.adb.errors import DeviceSilentError
from agent.drivers.adb.failures import Kind, Refusal
from agent.drivers.adb.installing import install_apk
from agent.drivers.apk import ApkInfo, read_apk
from agent.drivers.base import Build, InstalledApp, InstallProgress
from agent.errors import JobError

if TYPE_CHECKING:
    from agent.drivers.adb.device import AdbDevice

_ROOM_FACTOR: Final = 2
"""An install needs the APK's size about twice: as it is taken in, and unpacked and compiled."""


async def bring(device: AdbDevice, build: Build, timeout_s: float, say: InstallProgress) -> bool:
    """Make sure that the build is on the device; True when it had to be installed.

    Raises `JobError` for a refusal, `AdbError` when the device does not answer. The ledger names no build
    of the app from before the first change to the device until the device has proved the new one.
    """
    if build.path is None:
        raise JobError(
            f"no build {build.app_version_id} of {build.org_id} was uploaded",
            reason="build_missing",
            retryable=False,
            hint="Upload it with `qgjob app upload`.",
        )
    before = _held(device, build)
    if before is not None and await device.proof(before.app_id) == before.proof:
        return False
    info = await asyncio.to_thread(read_apk, build.path)
    former = device.ledger.get(info.package)
    await device.ledger.remove(info.package)
    if former is not None and former.org_id != build.org_id:
        say(f"removing the {info.package} of another organisation, with its data")
        await device.uninstall(info.package)
    await _make_room(device, info, say)
    await _install(device, build.path, info, timeout_s, say)
    await device.ledger.put(
        InstalledApp(
            org_id=build.org_id,
            app_version_id=build.app_version_id,
            app_id=info.package,
            sha256=build.sha256,
            installed_at=device.now(),
            proof=await _proved(device, info),
        )
    )
    return True


def _held(device: AdbDevice, build: Build) -> InstalledApp | None:
    wanted = (build.org_id, build.app_version_id, build.sha256)
    entries = device.ledger.entries
    return next((e for e in entries if (e.org_id, e.app_version_id, e.sha256) == wanted), None)


async def _make_room(device: AdbDevice, info: ApkInfo, say: InstallProgress) -> None:
    vitals = facts.vitals(await device.ask(facts.VITALS_COMMAND))
    if vitals is None or vitals.free_mib is None:
        return
    wanted = device.limits.free_mib + _ROOM_FACTOR * info.size / 2**20
    if vitals.free_mib < wanted and (removed := await device.make_room(info.package)):
        say(f"{vitals.free_mib} MiB of storage left: {removed} old builds were removed")


async def _install(
    device: AdbDevice, path: Path, info: ApkInfo, timeout_s: float, say: InstallProgress
) -> None:
    version = info.version_name or info.version_code or "?"
    tried: set[Kind] = set()
    while True:
        say(f"installing {info.package} {version} on {device.serial}")
        refusal = await install_apk(device.server, device.serial, path, device.features, timeout_s=timeout_s)
        if refusal is None:
            return
        if refusal.kind in tried:
            raise _refused(device, refusal)
        tried.add(refusal.kind)
        if refusal.kind is Kind.CONFLICT:
            say(f"{refusal.text}: uninstalling it first")
            await device.uninstall(info.package)
        elif refusal.kind is Kind.STORAGE:
            say(f"{refusal.text}: removing what this agent installed")
            await device.make_room(None)
            await device.uninstall(info.package)
        else:
            raise _refused(device, refusal)


async def _proved(device: AdbDevice, info: ApkInfo) -> str:
    proof = await device.proof(info.package)
    told = proof.partition("/")[0] if proof else "none at all"
    if proof is None or (info.version_code is not None and told != str(info.version_code)):
        raise DeviceSilentError(
            f"{device.serial} says Success, but has {info.package} in version {told}, not {info.version_code}"
        )
    return proof


def _refused(device: AdbDevice, refusal: Refusal) -> JobError:
    lost = refusal.kind is Kind.LAB and not refusal.code
    return JobError(
        f"{device.serial} did not take the build: {refusal.text}",
        reason="install_link_lost" if lost else refusal.kind.value,
        retryable=refusal.retryable,
    )
