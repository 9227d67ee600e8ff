"""How an agent ends what runs when it is told to, as `deploy/`'s units and impatient people tell it."""

from __future__ import annotations

import os
import plistlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.config.options import settings_of
from agent.supervision.processes import marked, parents
from agent.supervision.sweep import agent_mark
from bus_schemas.events import Started
from qgjob.client import Client
from qgjob.client.requests import query
from qgjob.clock import SystemClock
from qgjob.errors import ExitCode
from tests.support.pipeline import EventRecorder, system
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.mark.parametrize("patient", [True, False], ids=["SIGTERM twice", "SIGQUIT"])
async def test_what_runs_is_ended_and_another_goes_on_with_it(tmp_path: Path, *, patient: bool) -> None:
    async with (
        system(tmp_path, agents=2, slots=1) as (running, bus),
        EventRecorder().watching(bus) as witness,
    ):
        run = planned(1, runner="command", argv=("sleep", "600"))
        await submit(bus, run)
        job = run.specs[0].job_id

        def starts() -> list[Started]:
            return [event for event in witness.events[job] if isinstance(event, Started) and not event.left]

        (first,) = await wait_for(starts, 20, "the job to start")
        mark = agent_mark(first.agent, tmp_path / f"agent-{first.agent}")
        pid = running.pids()[f"agent-{first.agent}"]
        ours = await wait_for(lambda: sleeping(mark), 20, "its process to run")
        if patient:
            os.kill(pid, signal.SIGTERM)

            async def drains() -> bool:
                return "draining" in {a.state for a in await query.agents(bus) if a.agent == first.agent}

            await wait_for(drains, 20, "the agent to drain")
            assert sleeping(mark) == ours, "what runs may go on"
        os.kill(pid, signal.SIGTERM if patient else signal.SIGQUIT)
        again = await wait_for(lambda: starts()[1:], 30, "another slot to go on with it")
        assert (again[0].attempt, again[0].lost) == (1, ()), "the same attempt, by nobody's fault"
        assert not sleeping(mark) & ours, "nothing of it is left when another begins"
        await Client(bus, SystemClock()).cancel(job)
        await wait_for(lambda: witness.ends[job] == 1, 20, "the job to end")


def sleeping(mark: str) -> set[int]:
    """The processes of an agent's jobs that run `sleep`."""
    found = marked(mark, parents())
    return {pid for pid in found if b"sleep\x00600" in _cmdline(pid)}


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_the_samples_in_deploy_are_read() -> None:
    settings = settings_of({"config": str(DEPLOY / "agent.toml")}, {})
    assert (settings.driver, settings.slots, settings.labels) == ("process", 4, ("android-14", "emulator"))
    plist = plistlib.loads((DEPLOY / "qgjob.agent.plist").read_bytes())
    assert plist["ProgramArguments"][1:3] == ["agent", "--config"]
    assert plist["KeepAlive"]
    grace = settings.grace_s
    assert grace is not None
    assert grace < plist["ExitTimeOut"], "what runs is handed back before launchd kills"
    unit = (DEPLOY / "qgjob-agent.service").read_text()
    assert "KillMode=mixed" in unit
    assert f"TimeoutStopSec={plist['ExitTimeOut'] // 60}min" in unit


@pytest.mark.parametrize("name", sorted(path.name for path in DEPLOY.glob("*.service")))
def test_systemd_takes_the_unit(tmp_path: Path, name: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here")
    unit = (DEPLOY / name).read_text()
    assert "StartLimitIntervalSec=0" in unit, "however often it fails, it is started again"
    if name != "nats.service":
        assert f"RestartPreventExitStatus={ExitCode.USAGE}\n" in unit, "but not with a wrong option"
    for program in ("/opt/qgjob/bin/qgjob", "/usr/local/bin/nats-server"):
        unit = unit.replace(f"ExecStart={program}", f"ExecStart={sys.executable}")
    unit = unit.replace("User=qgjob", "User=root").replace("User=nats", "User=root")
    (tmp_path / name).write_text(unit)
    checked = subprocess.run(
        [analyze, "verify", str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
