"""Agents, slots, and what is asked of them."""

from __future__ import annotations

from bus_schemas import agents, holds, lab
from bus_schemas.base import Message

GROUP = agents.GroupRef(capability="android-14+emulator", org_id="acme", app_version_id="shop v1.2")
BUILD = agents.InstalledBuild(org_id="acme", app_version_id="shop v1.2", app_id="app", at=1_790_000_000.0)
HEARTBEAT = agents.Heartbeat(
    agent="lab-1",
    host="mac-mini",
    pid=42,
    version="0.1.0",
    started_at=1_790_000_000.0,
    at=1_790_000_005.0,
    slots=(
        agents.SlotStatus(
            name="s0",
            driver="process",
            state="busy",
            labels=("process",),
            job_id="j_01",
            health=agents.DeviceHealth(
                at=1_790_000_001.0, ok=True, battery_percent=88, temperature_c=27.5, free_mib=5120
            ),
        ),
    ),
    runners=("command", "pytest"),
)
HOLD = holds.SlotHold(
    name="lab-1/s0",
    kind="reserved",
    by="ann",
    since=1_790_000_000.0,
    note="debugging",
    until=1_790_001_800.0,
)

LAB: tuple[Message, ...] = (
    agents.Hello(epoch=7),
    agents.SlotNext(
        agent="lab-1",
        slot="s0",
        state="idle",
        driver="process",
        device="d0",
        labels=("emulator", "process"),
        installed=(BUILD,),
        bound=GROUP,
        hold=HOLD,
    ),
    agents.Binding(agent="lab-1", slot="s0", epoch=7, group=GROUP, consumer="g_1", ack_wait_s=30.0),
    agents.CancelAttempt(job_id="j_01", attempt=1, reason="wrong branch"),
    HEARTBEAT,
    lab.SlotsRequest(verb="reserve", name="lab-1/s0", by="ann", note="debugging", for_s=1800.0),
    lab.SlotsAnswer(slots=("lab-1/s0",), running={"lab-1/s0": "j_01"}, hold=HOLD),
    lab.BuildResumeRequest(org_id="acme", app_version_id="shop v1.2", by="ann"),
    lab.SlotHolds(holds=(HOLD,)),
    lab.HoldOrder(agent="lab-1", slot="s0", epoch=7, hold=HOLD),
    lab.LabHealth(
        slots=(
            lab.SlotTrouble(
                slot="lab-1/s0",
                jobs=(("j_01", "acme", "shop v1.2"),),
                times=1,
                since=1_790_000_000.0,
                until=1_790_000_060.0,
                why="3 jobs in a row met infrastructure errors here (last: install_failed)",
            ),
        ),
        builds=(
            lab.BuildTrouble(org_id="acme", app_version_id="shop v1.2", slots=("lab-1/s0",), jobs=("j_1",)),
        ),
    ),
)
