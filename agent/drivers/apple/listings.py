"""Parses the device lists of Apple's tools, and derives labels. Pure; unexpected entries are skipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from bus_schemas.base import is_label

_RUNTIME = re.compile(r"\.SimRuntime\.([A-Za-z]+)-(\d{1,3})(?:-(\d{1,3}))?$")
_UDID = re.compile(r"[A-Za-z0-9-]{8,64}")
_UNSAFE = re.compile(r"[^a-z0-9._-]+")


class Listed(NamedTuple):
    """A device as a tool lists it. `note` says why it cannot be used, None when it can."""

    udid: str
    labels: frozenset[str]
    note: str | None


def simulators(document: dict[str, Any]) -> list[Listed]:
    """From `simctl list devices -j`: the available iOS simulators, booted or not."""
    found: list[Listed] = []
    for runtime, devices in _items(document.get("devices")):
        match = _RUNTIME.search(runtime)
        if match is None or match[1] != "iOS" or not isinstance(devices, list):
            continue
        version = f"{match[2]}.{match[3]}" if match[3] else match[2]
        for device in _dicts(cast("list[Any]", devices)):
            udid, state = device.get("udid"), device.get("state")
            if isinstance(udid, str) and _UDID.fullmatch(udid) and device.get("isAvailable", True) is True:
                labels = _labels(udid, "simulator", version, device.get("name"))
                found.append(Listed(udid, labels, None if state == "Booted" else "it is not booted"))
    return sorted(found, key=lambda device: device.udid)


def phones(document: dict[str, Any]) -> list[Listed]:
    """From `devicectl list devices`: the paired devices."""
    found: list[Listed] = []
    for device in dicts_at(document, "result", "devices"):
        udid = _at(device, "hardwareProperties", "udid") or device.get("identifier")
        if not isinstance(udid, str) or not _UDID.fullmatch(udid):
            continue
        version = _at(device, "deviceProperties", "osVersionNumber")
        model = _at(device, "hardwareProperties", "marketingName")
        pairing = _at(device, "connectionProperties", "pairingState")
        tunnel = _at(device, "connectionProperties", "tunnelState")
        note = None
        if pairing != "paired":
            note = "it is not paired with this Mac"
        elif tunnel == "unavailable":
            note = "it is not connected"
        found.append(Listed(udid, _labels(udid, "device", version, model), note))
    return sorted(found, key=lambda device: device.udid)


def dicts_at(document: Any, *keys: str) -> list[dict[str, Any]]:
    """The objects in a list somewhere within a document; none where it is not as expected."""
    return _dicts(_at(document, *keys))


def _labels(udid: str, kind: str, version: object, model: object) -> frozenset[str]:
    release = version.lower() if isinstance(version, str) else ""
    name = _UNSAFE.sub("-", model.lower()).strip("-") if isinstance(model, str) else ""
    major = release.split(".")[0]
    wanted = ("ios", kind, f"serial:{udid}", f"ios-{release}", f"ios-{major}", f"model:{name}"[:64])
    return frozenset(label for label in wanted if is_label(label) and not label.endswith(("-", ":")))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from cast("dict[str, Any]", value).items()


def _dicts(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", item) for item in cast("list[Any]", value) if isinstance(item, dict)]


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(key)
    return value
