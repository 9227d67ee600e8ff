"""Finds the app in an iOS build: a `.app` folder in an archive, or an `.ipa`."""

from __future__ import annotations

import plistlib
import re
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from agent.archive import unpack
from agent.errors import ArchiveError, JobError

_BUNDLE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,154}")
_MAX_PLIST: Final = 4 * 2**20


class IosApp(NamedTuple):
    """An unpacked app."""

    path: Path
    bundle_id: str
    version: str


def unpack_app(source: Path, into: Path) -> IosApp:
    """Unpack a build and find its app. Blocking.

    Raises `JobError`, not retryable: `build_no_app` for what holds none, `build_broken` for a damaged one.
    """
    try:
        unpack(source, into)
    except ArchiveError as error:
        raise _refused(f"the build cannot be unpacked: {error.message}", "build_no_app") from error
    places = (into, into / "Payload", *(folder for folder in into.iterdir() if folder.is_dir()))
    apps = [app for place in places if place.is_dir() for app in sorted(place.glob("*.app"))]
    if not apps and (into / "Info.plist").is_file():
        # The folder of the app itself was uploaded: simctl wants a name that ends in .app.
        apps = [into.rename(into.with_suffix(".app"))]
    if not apps:
        raise _refused("the build is no iOS app: there is no .app in it", "build_no_app")
    return _described(apps[0])


def _described(app: Path) -> IosApp:
    try:
        with (app / "Info.plist").open("rb") as file:
            document: Any = plistlib.loads(file.read(_MAX_PLIST))
    except OSError:
        raise _refused("the build is a broken iOS app: it has no Info.plist", "build_broken") from None
    except Exception as error:  # noqa: BLE001 - the decoder raises whatever a made-up file leads it to
        text = f"the build is a broken iOS app: its Info.plist cannot be read ({type(error).__name__})"
        raise _refused(text, "build_broken") from None
    entries = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    bundle_id = entries.get("CFBundleIdentifier")
    if not isinstance(bundle_id, str) or not _BUNDLE_ID.fullmatch(bundle_id):
        raise _refused("the build is a broken iOS app: its Info.plist names no bundle id", "build_broken")
    return IosApp(app, bundle_id, str(entries.get("CFBundleVersion", ""))[:100])


def _refused(text: str, reason: str) -> JobError:
    return JobError(text, reason=reason, retryable=False)
