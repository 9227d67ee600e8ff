"""Parses what a device reports (properties, battery, storage, packages); it may answer nonsense. Pure.

One command asks for everything at once; its parts come back between markers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bus_schemas.base import is_label

_MARK: Final = "--qgjob--"
PROPERTIES: Final = (
    "ro.build.version.release",
    "ro.build.version.sdk",
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.product.cpu.abi",
    "ro.kernel.qemu",
    "ro.boot.qemu",
    "ro.hardware",
)
_SAFE_VALUE: Final = re.compile(r"[^A-Za-z0-9._:/-]+")
_EMULATED: Final = frozenset({"goldfish", "ranchu", "cutf_cvm", "vbox86"})
_PACKAGE_LINE: Final = re.compile(r"^\s*(Package \[([^\]]*)\]|versionCode=(\d+)|lastUpdateTime=(.+))")


def joined(*commands: str) -> str:
    """One shell line for several commands, whose outputs `parts` tells apart."""
    return f"; echo {_MARK}; ".join(commands)


def parts(output: str, count: int) -> list[str]:
    """The outputs of `joined` commands; a device that says less, or nonsense, gives empty ones."""
    found = re.split(rf"^{_MARK}\s*$", output, flags=re.MULTILINE)
    return ([part.strip() for part in found] + [""] * count)[:count]


def properties_command() -> str:
    """Asks for the properties that labels are made of."""
    return joined(*(f"getprop {name}" for name in PROPERTIES))


def properties(output: str) -> dict[str, str]:
    """The answer to `properties_command`; properties that are not set are left out."""
    values = parts(output, len(PROPERTIES))
    return {
        name: value for name, value in zip(PROPERTIES, values, strict=True) if value and "\n" not in value
    }


def labels(serial: str, props: Mapping[str, str]) -> frozenset[str]:
    """What a job may require of this device."""
    release = props.get("ro.build.version.release", "")
    emulated = (
        serial.startswith("emulator-")
        or "1" in {props.get("ro.kernel.qemu"), props.get("ro.boot.qemu")}
        or props.get("ro.hardware") in _EMULATED
    )
    wanted = [
        "android",
        "emulator" if emulated else "device",
        f"serial:{serial}",
        f"android-{release.lower()}" if release else "",
        f"android-{release.split('.')[0].lower()}" if release else "",
        _valued("api-", props.get("ro.build.version.sdk", "")),
        _valued("model:", props.get("ro.product.model", "").lower()),
        _valued("maker:", props.get("ro.product.manufacturer", "").lower()),
        _valued("abi:", props.get("ro.product.cpu.abi", "").lower()),
    ]
    return frozenset(label for label in wanted if is_label(label))


def _valued(prefix: str, value: str) -> str:
    """`Pixel 7 Pro` becomes `model:pixel-7-pro`."""
    value = _SAFE_VALUE.sub("-", value.strip()).strip("-")
    return f"{prefix}{value}"[:64] if value else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """A device's state; None for what it did not tell. Temperature in °C, storage in MiB."""

    booted: bool
    battery_percent: int | None = None
    temperature_c: float | None = None
    free_mib: int | None = None


VITALS_COMMAND: Final = joined("getprop sys.boot_completed", "dumpsys battery", "df -k /data || df /data")


def vitals(output: str) -> Vitals | None:
    """The answer to `VITALS_COMMAND`; None for an answer that makes no sense."""
    if _MARK not in output:
        return None
    booted, battery, storage = parts(output, 3)
    if booted not in {"", "0", "1"}:
        return None
    level = _field(battery, "level") if _text_field(battery, "present") != "false" else None
    scale = _field(battery, "scale") or 100
    tenths = _field(battery, "temperature") if level is not None else None
    percent = None if level is None else round(100 * level / max(1, scale))
    return Vitals(
        booted=booted == "1",
        battery_percent=percent if percent is not None and 0 <= percent <= 100 else None,
        temperature_c=tenths / 10 if tenths is not None and -1000 <= tenths <= 3000 else None,
        free_mib=_free_mib(storage),
    )


def _text_field(text: str, name: str) -> str | None:
    found = re.search(rf"^[ \t]*{name}: *(\S+)[ \t\r]*$", text, re.MULTILINE)
    return found[1] if found else None


def _field(text: str, name: str) -> int | None:
    value = _text_field(text, name)
    return int(value) if value is not None and re.fullmatch(r"-?\d{1,9}", value) else None


def _free_mib(text: str) -> int | None:
    """From `df`: the fourth column of the last line, in KiB; old systems write `1.2G` instead."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or len(lines[-1]) < 4:
        return None
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)", lines[-1][3])
    if found is None:
        return None
    return int(float(found[1]) * {"": 1 / 1024, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}[found[2]])


def package_proof(dump: str, package: str) -> str | None:
    """`versionCode/lastUpdateTime` of an installed package in `dumpsys package P`; None when not there.

    A system app that was updated is listed twice: the first is the one that runs.
    """
    code = updated = None
    within = False
    for line in dump.splitlines():
        found = _PACKAGE_LINE.match(line)
        if found is None:
            continue
        if found[2] is not None:
            if within:
                break
            within = found[2] == package
        elif within and found[3] is not None:
            code = code or found[3][:20]
        elif within and found[4] is not None:
            updated = updated or found[4].strip()[:40]
    return f"{code}/{updated}" if code is not None and updated is not None else None
