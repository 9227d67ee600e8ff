from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from agent.attempts.attempt import AttemptRunner
from agent.drivers.base import Device, Driver, DriverContext, Presence
from agent.slots.roster import DeviceRoster
from agent.slots.slot import SlotWorker
from qgjob.errors import ExitCode, QgjobError
from tests.support.clock import ManualClock


class Bare(Driver):
    """Finds no device."""

    name: ClassVar[str] = "bare"
    dynamic: ClassVar[bool] = True

    def __init__(self, context: DriverContext) -> None:
        del context

    async def discover(self) -> Sequence[Presence]:
        return []


def never(_: Device) -> AttemptRunner:
    raise AssertionError("there is no device")


def nowhere(_: AttemptRunner) -> SlotWorker:
    raise AssertionError("there is no device")


async def test_an_agent_without_devices_says_that_it_waits_for_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    roster = DeviceRoster(Bare(DriverContext(folder=tmp_path, clock=ManualClock())), never)
    await roster.begin(nowhere)
    await roster.close()
    (record,) = [record for record in caplog.records if record.name == "agent.slots.roster"]
    assert (record.levelname, "no device yet" in record.getMessage()) == ("WARNING", True)


class Faulty(Bare):
    """Does not get as far as looking."""

    name: ClassVar[str] = "faulty"

    async def discover(self) -> Sequence[Presence]:
        raise KeyError("cable")


async def test_a_driver_with_a_fault_says_whose_it_is(tmp_path: Path) -> None:
    roster = DeviceRoster(Faulty(DriverContext(folder=tmp_path, clock=ManualClock())), never)
    with pytest.raises(
        QgjobError, match="the driver faulty cannot find its devices: KeyError: 'cable'"
    ) as caught:
        await roster.begin(nowhere)
    assert caught.value.exit_code is ExitCode.ERROR, "no wrong option: it may find them at the next start"
    await roster.close()


async def test_labels_for_a_device_that_is_not_here_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    roster = DeviceRoster(Bare(DriverContext(folder=tmp_path, clock=ManualClock())), never, {"R58M"})
    await roster.begin(nowhere)
    await roster.close()
    assert "labels are set for the device R58M, which is not here; there are: none" in caplog.text
