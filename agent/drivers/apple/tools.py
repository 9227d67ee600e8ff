"""One interface for what `simctl` (simulators) and `devicectl` (iPhones, iPads) are asked to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

from agent.drivers.apple.listings import Listed, dicts_at, phones, simulators
from agent.drivers.apple.xcrun import Xcrun, XcrunResult
from agent.errors import JobError

_STEP_S: Final = 10.0
_BOOT_S: Final = 90.0


class Tools(ABC):
    """The interface; implementations raise only `JobError`."""

    def __init__(self, xcrun: Xcrun) -> None:
        self._xcrun = xcrun

    @abstractmethod
    async def listed(self) -> list[Listed]:
        """The devices there are."""

    @abstractmethod
    async def proof(self, udid: str, bundle_id: str) -> str | None:
        """Where an app is: another place after every install; None when it is not there."""

    @abstractmethod
    async def install(self, udid: str, app: Path, timeout_s: float) -> None:
        """Install an unpacked app."""

    @abstractmethod
    async def uninstall(self, udid: str, bundle_id: str) -> None:
        """Remove an app with its data."""

    async def stop(self, udid: str, bundle_id: str) -> None:  # noqa: B027
        """Stop an app, where there is a way."""

    async def screenshot(self, udid: str, path: Path) -> None:  # noqa: B027
        """Make a picture of the screen, where there is a way."""

    async def recover(self, udid: str) -> None:  # noqa: B027
        """Try to make it usable, where there is a way."""


class Simctl(Tools):
    """Simulators."""

    async def listed(self) -> list[Listed]:
        """See `Tools.listed`."""
        return simulators(await self._xcrun.document("simctl", "list", "devices", "-j"))

    async def proof(self, udid: str, bundle_id: str) -> str | None:
        """See `Tools.proof`: `get_app_container`, which fails when the app is absent."""
        said = await self._xcrun.run("simctl", "get_app_container", udid, bundle_id)
        return said.output.decode("utf-8", "replace").strip()[:1000] or None if said.code == 0 else None

    async def install(self, udid: str, app: Path, timeout_s: float) -> None:
        """See `Tools.install`."""
        _check(await self._xcrun.run("simctl", "install", udid, str(app), timeout_s=timeout_s), udid)

    async def uninstall(self, udid: str, bundle_id: str) -> None:
        """See `Tools.uninstall`."""
        await self._xcrun.run("simctl", "uninstall", udid, bundle_id)

    async def stop(self, udid: str, bundle_id: str) -> None:
        """See `Tools.stop`."""
        await self._xcrun.run("simctl", "terminate", udid, bundle_id, timeout_s=_STEP_S)

    async def screenshot(self, udid: str, path: Path) -> None:
        """See `Tools.screenshot`."""
        await self._xcrun.run("simctl", "io", udid, "screenshot", str(path), timeout_s=_STEP_S)

    async def recover(self, udid: str) -> None:
        """See `Tools.recover`: boot it, and wait until it has."""
        await self._xcrun.run("simctl", "bootstatus", udid, "-b", timeout_s=_BOOT_S)


class Devicectl(Tools):
    """Phones and tablets on iOS 17 or later."""

    async def listed(self) -> list[Listed]:
        """See `Tools.listed`."""
        return phones(await self._xcrun.document_in_file("devicectl", "list", "devices"))

    async def proof(self, udid: str, bundle_id: str) -> str | None:
        """See `Tools.proof`."""
        document = await self._xcrun.document_in_file(
            *("devicectl", "device", "info", "apps", "--device", udid, "--bundle-id", bundle_id)
        )
        apps: list[dict[str, Any]] = dicts_at(document, "result", "apps")
        found = next((app for app in apps if app.get("bundleIdentifier") == bundle_id), None)
        return f"{found.get('bundleVersion')}/{found.get('url')}"[:1000] if found else None

    async def install(self, udid: str, app: Path, timeout_s: float) -> None:
        """See `Tools.install`."""
        said = await self._xcrun.run(
            *("devicectl", "device", "install", "app", "--device", udid, str(app)), timeout_s=timeout_s
        )
        _check(said, udid)

    async def uninstall(self, udid: str, bundle_id: str) -> None:
        """See `Tools.uninstall`."""
        await self._xcrun.run("devicectl", "device", "uninstall", "app", "--device", udid, bundle_id)


def _check(said: XcrunResult, udid: str) -> None:
    # Apple documents no codes that would tell the build's fault from the device's: try it elsewhere.
    if said.code != 0:
        text = f"{udid} did not take the build: {said.reason}"
        raise JobError(text, reason="install_failed", retryable=True)
