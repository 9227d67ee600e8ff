"""A whole lab whose agent has two simulated phones, on the real adb: jobs find them, survive them, miss them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus_schemas.events import Ended, Started
from bus_schemas.queries import AgentsAnswer, Query
from bus_schemas.subjects import query
from qgjob.bus.connect import Bus
from qgjob.client.submitting import builds
from qgjob.client.submitting.publish_run import PlannedRun
from qgjob.clock import SystemClock
from tests.support.adbsim import AdbHost, Phone, PhoneLink
from tests.support.adbsim.apk import make_apk
from tests.support.pipeline import EventRecorder, system
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

SCRIPT = """
echo "$QGJOB_UDID $ANDROID_SERIAL $QGJOB_APP_PACKAGE $QGJOB_DEVICE" >> "$1"
while [ ! -e "$2" ]; do sleep 0.1; done
"""


def one_job(tmp_path: Path, app: str = "v1") -> PlannedRun:
    argv = ("sh", "-c", SCRIPT, "sh", str(tmp_path / "seen"), str(tmp_path / "go"))
    return planned(1, runner="command", app=app, argv=argv)


def ends_of(witness: EventRecorder, job: str) -> list[Ended]:
    return [event for event in witness.events[job] if isinstance(event, Ended)]


async def slot_states(bus: Bus) -> dict[str, tuple[str, str | None]]:
    answer = await bus.requests.request(query("agents"), Query().encode())
    (agent,) = AgentsAnswer.decode(answer.data).agents
    return {slot.name: (slot.state, slot.note) for slot in agent.slots}


async def test_a_job_outlives_the_loss_of_its_device(
    adb_program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    witness = EventRecorder()
    async with AdbHost(tmp_path / "adb") as host, PhoneLink(Phone()) as one, PhoneLink(Phone()) as two:
        for name, value in host.environment.items():
            if name != "HOME":
                monkeypatch.setenv(name, value)
        serials = f"{one.serial},{two.serial}"
        arguments = ("--driver", "adb", "--devices", serials)
        async with (
            system(tmp_path / "up", agents=1, slots=2, agent_args=arguments) as (_, bus),
            witness.watching(bus),
        ):
            apk = make_apk(tmp_path / "shop.apk")
            await builds.upload(
                bus, apk, org_id="bench", app_version_id="v1", platform=None, app_id=None, clock=SystemClock()
            )
            run = one_job(tmp_path)
            job = run.specs[0].job_id
            await submit(bus, run)
            seen = tmp_path / "seen"
            await wait_for(lambda: seen.exists() and seen.read_text().endswith("\n"), 20)
            first = seen.read_text().split()
            lost = one if first[0] == one.serial else two
            slot = lost.serial.replace(":", "-")
            assert first == [lost.serial, lost.serial, "com.example.shop", slot]

            await lost.unplug()
            await wait_for(lambda: ends_of(witness, job), 30, "the end of the first attempt")
            (end,) = ends_of(witness, job)
            assert (end.state, end.final, end.result.reason) == ("errored", False, "device_lost")
            assert slot in (end.result.message or "")

            async def is_missed() -> bool:
                return (await slot_states(bus))[slot][0] == "lost"

            await wait_for(is_missed, 20)

            (tmp_path / "go").touch()
            await wait_for(lambda: witness.ends[job], 30, "the end of the job")
            assert [end.state for end in ends_of(witness, job)] == ["errored", "passed"]
            starts = [event for event in witness.events[job] if isinstance(event, Started)]
            assert [start.slot == slot for start in starts] == [True, False]

            await lost.plug()

            async def is_back() -> bool:
                return (await slot_states(bus))[slot] == ("idle", None)

            await wait_for(is_back, 40)
