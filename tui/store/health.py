"""What there is to say of a device's health: what it tells, and what of it an operator should see to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from bus_schemas.agents import DeviceHealth

LOW_BATTERY_PERCENT: Final = 20
"""A little above where an agent lets a device rest, so that there is time to plug it in."""
LOW_FREE_MIB: Final = 500


class Vital(NamedTuple):
    """One thing that a device tells."""

    kind: str
    """`battery`, `storage` or `temperature`."""
    text: str
    """Short: `88%`, `5.1G`, `27°`."""
    low: bool
    """Whether somebody should see to it."""


def vitals(health: DeviceHealth | None) -> list[Vital]:
    """What is known, in the order in which it is shown."""
    if health is None:
        return []
    told: list[Vital] = []
    battery, free, heat = health.battery_percent, health.free_mib, health.temperature_c
    if battery is not None:
        told.append(Vital("battery", f"{battery}%", battery < LOW_BATTERY_PERCENT))
    if heat is not None:
        told.append(Vital("temperature", f"{heat:.0f}°", False))
    if free is not None:
        told.append(Vital("storage", _size(free), free < LOW_FREE_MIB))
    return told


def lows(health: DeviceHealth | None) -> list[Vital]:
    """What of it is low."""
    return [vital for vital in vitals(health) if vital.low]


def _size(mib: int) -> str:
    """At most four characters: `120M`, `5.1G`, `64G`, `1.8T`."""
    if mib < 1000:
        return f"{mib}M"
    size = mib / 1024
    for unit in ("G", "T"):
        if size < 9.95:
            return f"{size:.1f}{unit}"
        if size < 999.5:
            return f"{size:.0f}{unit}"
        size /= 1024
    return "lots"
