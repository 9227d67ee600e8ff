"""The health limits of a device: battery, temperature, storage. Pure.

They have hysteresis: a device that was held has to be somewhat better than the limit before it may go on,
or it would come and go with every percent of its battery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.drivers.adb.facts import Vitals
from agent.drivers.base import Health
from qgjob.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits below (battery, storage) or above (temperature) which a device gets no work."""

    battery_percent: float = 15
    temperature_c: float = 34
    free_mib: float = 200

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Limits:
        """From a driver's options `min_battery`, `max_temperature`, `min_free_mib`. Raises `UsageError`."""
        return cls(
            battery_percent=number(options, "min_battery", 15),
            temperature_c=number(options, "max_temperature", 34),
            free_mib=number(options, "min_free_mib", 200),
        )


def number(options: Mapping[str, str], name: str, default: float) -> float:
    """A driver's option as a number. Raises `UsageError`."""
    text = options.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise UsageError(f"The driver's option {name} has to be a number, not {text!r}.")
    return value


def judge(vitals: Vitals | None, limits: Limits, *, resting: bool = False) -> Health:
    """Whether a device may work. `resting`: it was unwell before, so the limits are a little stricter."""
    if vitals is None:
        return Health(ok=False, silent=True, detail="the device answers nonsense")
    spare_percent, spare_c, spare = (5, 2, 1.25) if resting else (0, 0, 1.0)
    battery, heat, free = vitals.battery_percent, vitals.temperature_c, vitals.free_mib
    why = None
    if not vitals.booted:
        why = "the device has not finished booting"
    elif free is not None and free < limits.free_mib * spare:
        why = f"{free} MiB of storage left, {limits.free_mib * spare:g} wanted"
    elif battery is not None and battery < limits.battery_percent + spare_percent:
        why = f"battery at {battery} %, {limits.battery_percent + spare_percent:g} % wanted"
    elif heat is not None and heat > limits.temperature_c - spare_c:
        why = f"{heat:g} °C, at most {limits.temperature_c - spare_c:g} °C wanted"
    return Health(ok=why is None, detail=why, battery_percent=battery, temperature_c=heat, free_mib=free)


def needs_room(vitals: Vitals | None, limits: Limits) -> bool:
    """Whether old builds should go."""
    return vitals is not None and vitals.free_mib is not None and vitals.free_mib < limits.free_mib
