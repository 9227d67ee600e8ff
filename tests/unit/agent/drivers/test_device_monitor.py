"""When a slot is held, and when it works again; on a device and a slot of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agent.drivers.base import (
    Build,
    Device,
    Driver,
    DriverContext,
    Health,
    InstallCounters,
    InstalledApp,
    InstallResult,
    Presence,
    RunningApp,
)
from agent.drivers.registry import PLUGINS, find_driver
from agent.errors import JobError
from agent.slots.device_monitor import DeviceMonitor
from bus_schemas.agents import DeviceHealth, SlotState
from qgjob.errors import UsageError
from tests.support.wait import wait_for

WELL = Health(ok=True)
FLAT = Health(ok=False, detail="battery at 3 %")
SILENT = Health(ok=False, silent=True, detail="no answer")


class Thing(Device):
    """As a lab's own driver would have it: no more than the interface asks for."""

    def __init__(self) -> None:
        self.name = "thing"
        self.labels = frozenset({"thing"})
        self.installs = InstallCounters()
        self.now = WELL
        self.after_recovery = SILENT
        self.opened = 0
        self.recoveries = 0
        self.fault: Exception | None = None

    async def open(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.opened += 1

    async def health(self) -> Health:
        return self.now

    def installed(self) -> Sequence[InstalledApp]:
        return ()

    async def install(self, build: Build, *, timeout_s: float, progress: Any = None) -> InstallResult:
        return InstallResult(ok=True, duration_s=0)

    async def uninstall(self, app_id: str) -> None: ...

    async def start_app(self, app_id: str, *, timeout_s: float) -> RunningApp:
        return RunningApp()

    async def stop_app(self, app_id: str) -> None: ...

    async def recover(self) -> Health:
        self.recoveries += 1
        return self.after_recovery

    async def close(self) -> None: ...


class ThingDriver(Driver):
    name = "thing"

    def __init__(self, context: DriverContext) -> None: ...

    async def discover(self) -> Sequence[Presence]:
        return [Presence(Thing(), True)]


class FakeSlot:
    def __init__(self) -> None:
        self.busy = False
        self.held: tuple[SlotState, str] | None = None
        self.lost: str | None = None
        self.shown: DeviceHealth | None = None

    def hold(self, by: str, state: SlotState, note: str) -> None:
        self.held = (state, note)

    def release(self, by: str) -> None:
        self.held = None

    def lose_device(self, why: str) -> None:
        self.lost = why

    def set_health(self, health: DeviceHealth) -> None:
        self.shown = health


@pytest.fixture
def thing() -> Thing:
    return Thing()


@pytest.fixture
def slot() -> FakeSlot:
    return FakeSlot()


@pytest.fixture
def monitor(thing: Thing, slot: FakeSlot) -> DeviceMonitor:
    return DeviceMonitor(thing, slot, lost_after_s=60)


async def test_a_device_that_is_there_and_well_works(monitor: DeviceMonitor, thing: Thing, slot: FakeSlot):
    monitor.on_presence(Presence(thing, True))
    assert 30 <= await monitor.check() < 40
    assert (thing.opened, slot.held, thing.recoveries) == (1, None, 0)


async def test_a_device_that_is_unwell_rests_and_is_not_tampered_with(
    monitor: DeviceMonitor, thing: Thing, slot: FakeSlot
):
    monitor.on_presence(Presence(thing, True))
    thing.now = FLAT
    await monitor.check()
    assert (slot.held, thing.recoveries) == (("quarantined", "battery at 3 %"), 0)
    thing.now = WELL
    await monitor.check()
    assert slot.held is None


async def test_what_a_device_tells_of_itself_is_shown_unless_it_cannot_be_true(
    monitor: DeviceMonitor, thing: Thing, slot: FakeSlot
):
    monitor.on_presence(Presence(thing, True))
    thing.now = Health(ok=True, battery_percent=88, temperature_c=27.5, free_mib=5000)
    await monitor.check()
    assert slot.shown is not None
    assert slot.shown.model_dump(exclude={"at"}) == {
        "ok": True,
        "battery_percent": 88,
        "temperature_c": 27.5,
        "free_mib": 5000,
    }
    thing.now = Health(ok=True, battery_percent=4711, temperature_c=float("nan"), free_mib=-1)
    await monitor.check()
    nothing = {"battery_percent": None, "temperature_c": None, "free_mib": None}
    assert slot.shown.model_dump(exclude={"at"}) == {"ok": True, **nothing}
    thing.fault = thing.now = None  # type: ignore[assignment]  # a driver that answers nonsense
    await monitor.check()
    assert slot.shown.model_dump(exclude={"at"}) == {"ok": False, **nothing}


async def test_a_silent_device_is_recovered_ever_more_patiently(
    monitor: DeviceMonitor, thing: Thing, slot: FakeSlot
):
    monitor.on_presence(Presence(thing, True))
    thing.now = SILENT
    pauses = [await monitor.check() for _ in range(8)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (5, 300)
    assert (slot.held, thing.recoveries) == (("quarantined", "no answer"), 8)
    thing.after_recovery = WELL
    await monitor.check()
    assert slot.held is None


async def test_a_device_that_leaves_and_comes_back_is_opened_anew(
    monitor: DeviceMonitor, thing: Thing, slot: FakeSlot
):
    monitor.on_presence(Presence(thing, True))
    await monitor.check()
    monitor.on_presence(Presence(thing, False, "it is not plugged in"))
    assert slot.held == ("lost", "it is not plugged in")
    await monitor.check()
    assert slot.lost is None  # no job ran
    monitor.on_presence(Presence(thing, True))
    await monitor.check()
    assert (slot.held, thing.opened) == (None, 2)


async def test_a_job_survives_a_touched_cable_but_not_a_lost_device(
    monitor: DeviceMonitor, thing: Thing, slot: FakeSlot
):
    slot.busy = True
    monitor.on_presence(Presence(thing, True))
    await monitor.check()
    monitor.on_presence(Presence(thing, False, "its link is offline"))
    assert 0 < await monitor.check() <= 60
    assert slot.lost is None
    monitor.on_presence(Presence(thing, True))
    await monitor.check()
    assert (slot.lost, slot.held) == (None, None)
    monitor._lost_after_s = 0.05  # pyright: ignore[reportPrivateUsage]
    monitor.on_presence(Presence(thing, False, "its link is offline"))
    running = asyncio.create_task(monitor.run())
    await wait_for(lambda: slot.lost)
    running.cancel()
    assert slot.lost == "the device thing is gone: its link is offline"


async def test_doubt_holds_the_slot_at_once(monitor: DeviceMonitor, thing: Thing, slot: FakeSlot):
    monitor.on_presence(Presence(thing, True))
    await monitor.check()
    slot.busy = True
    assert thing.on_doubt is not None
    thing.on_doubt("it did not answer")
    assert slot.held == ("quarantined", "it did not answer")
    slot.busy = False
    await monitor.check()
    assert slot.held is None


@pytest.mark.parametrize(
    "fault", [JobError("no", reason="x", retryable=True), ZeroDivisionError("oh"), TimeoutError()]
)
async def test_no_fault_of_a_driver_ends_the_monitor(
    monitor: DeviceMonitor, thing: Thing, slot: FakeSlot, fault: Exception
):
    monitor.on_presence(Presence(thing, True))
    thing.fault = fault
    await monitor.check()
    assert slot.held is not None
    assert slot.held[0] == "quarantined"
    thing.fault = None
    await monitor.check()
    assert slot.held is None


async def test_a_device_that_cannot_be_opened_is_recovered_unless_it_is_anothers(
    monitor: DeviceMonitor, thing: Thing, slot: FakeSlot
):
    monitor.on_presence(Presence(thing, True))
    thing.fault = JobError("another agent has it", reason="device_taken", retryable=True)
    await monitor.check()
    assert (thing.recoveries, slot.held) == (0, ("quarantined", "another agent has it"))
    thing.fault = JobError("no answer", reason="device_silent", retryable=True)
    await monitor.check()
    assert (thing.recoveries, slot.held) == (1, ("quarantined", "no answer"))


def test_drivers_are_found_by_name():
    assert find_driver("adb", {}).dynamic
    mine = {PLUGINS.variable: f"{__name__}:ThingDriver"}
    assert find_driver("thing", mine) is ThingDriver
    with pytest.raises(UsageError, match="no driver gadget"):
        find_driver("gadget", mine)
    with pytest.raises(UsageError, match="no Driver class"):
        find_driver("thing", {PLUGINS.variable: f"{__name__}:FakeSlot"})
    with pytest.raises(UsageError, match="cannot be loaded"):
        find_driver("thing", {PLUGINS.variable: "no.such.module:Driver"})


async def test_a_driver_that_does_not_watch_never_tells_of_changes():
    context: Any = None
    watching = asyncio.ensure_future(anext(ThingDriver(context).watch()))
    done, _ = await asyncio.wait((watching,), timeout=0.01)
    assert not done
    watching.cancel()
