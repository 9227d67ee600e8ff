"""The Appium capabilities that select a slot's device and the app under test. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from agent.drivers.base import RunningApp
from agent.errors import JobError

CAPABILITIES_VARIABLE: Final = "QGJOB_APPIUM_CAPS"

NEW_COMMAND_S: Final = 120
"""A session that hears nothing for so long is closed by the server itself."""

_PLATFORMS: Final = {
    "android": {"platformName": "Android", "appium:automationName": "UiAutomator2"},
    "ios": {"platformName": "iOS", "appium:automationName": "XCUITest"},
}


def device_capabilities(app: RunningApp) -> dict[str, Any] | None:
    """The capabilities that select the device, whatever the app; None when Appium cannot reach it.

    From what the driver adds to a job's environment: `QGJOB_PLATFORM` (`android`, `ios`), `QGJOB_UDID`,
    `ANDROID_ADB_SERVER_PORT`. A driver adds or changes some with `QGJOB_APPIUM_CAPS`, a JSON object; one that
    holds a `platformName` is enough by itself.
    """
    found: dict[str, Any] = dict(_PLATFORMS.get(app.env.get("QGJOB_PLATFORM", ""), {}))
    if udid := app.env.get("QGJOB_UDID"):
        found["appium:udid"] = udid
    if (
        found.get("platformName") == "Android"
        and (port := app.env.get("ANDROID_ADB_SERVER_PORT", "")).isdigit()
    ):
        found["appium:adbPort"] = int(port)
    found |= _own(app.env)
    if "platformName" not in found:
        return None
    return {**found, "appium:newCommandTimeout": NEW_COMMAND_S}


def job_capabilities(device: Mapping[str, Any], app: RunningApp) -> dict[str, Any]:
    """The capabilities of a job's sessions: the device, and the installed app, which is not reset."""
    found = dict(device)
    found["appium:noReset"] = True
    if app.package:
        key = "appium:bundleId" if found["platformName"] == "iOS" else "appium:appPackage"
        found.setdefault(key, app.package)
    return found


def _own(env: Mapping[str, str]) -> dict[str, Any]:
    text = env.get(CAPABILITIES_VARIABLE)
    if not text:
        return {}
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise JobError(
            f"the device's driver gives {CAPABILITIES_VARIABLE} that is no JSON object",
            reason="driver_error",
            retryable=False,
        )
    return cast("dict[str, Any]", document)
