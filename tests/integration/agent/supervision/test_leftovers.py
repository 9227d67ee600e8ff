"""Everything a job starts ends with it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from agent.supervision import job_supervisor
from agent.supervision.job_supervisor import JobSupervisor
from agent.supervision.sweep import sweep_leftovers
from tests.integration.agent.conftest import Launch, Output
from tests.support.daemons import STUBBORN_DAEMON, exists


async def test_a_stubborn_daemon_ends_with_its_job(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    result = await supervisor.run(launch(python=STUBBORN_DAEMON), output)
    assert (result.code, result.leftovers, result.survivors) == (0, 1, 0)
    assert not exists(int(output.of("stdout")))


@pytest.mark.parametrize("hides", [False, True], ids=["own session", "hidden environment"])
async def test_where_nobody_is_adopted_mark_and_session_find_what_is_left(
    launch: Launch, mark: str, monkeypatch: pytest.MonkeyPatch, *, hides: bool
):
    """As on macOS, whose own programs show nobody their environment."""
    monkeypatch.setattr(job_supervisor, "sys", SimpleNamespace(platform="darwin", executable=sys.executable))
    boot = job_supervisor.BOOT.replace("from agent", "import psutil; sys.platform = 'darwin'; from agent", 1)
    monkeypatch.setattr(job_supervisor, "BOOT", boot)
    supervisor = await JobSupervisor.start(mark=mark)
    how = "env -i" if hides else "setsid"
    output = Output()
    result = await supervisor.run(launch("sh", "-c", f"({how} sleep 1000 >&2 & echo $!)"), output)
    await supervisor.close()
    assert (result.code, result.leftovers, sweep_leftovers(mark)) == (0, 1, 0)
    assert not exists(int(output.of("stdout")))


async def test_two_that_restart_each_other_end_with_their_job(supervisor: JobSupervisor, launch: Launch):
    script = """
import os, signal, time
def watch():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.setsid()
    while True:
        if os.fork() == 0:
            os.setsid()
            while os.getppid() != 1 and time.sleep(0.001) is None:
                pass
        os.wait()
for _ in range(3):
    if os.fork() == 0:
        watch()
"""
    result = await supervisor.run(launch(python=script), Output())
    assert result.leftovers >= 3
    assert result.survivors == 0


async def test_one_that_flees_by_forking_is_caught(supervisor: JobSupervisor, launch: Launch):
    script = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    until = time.time() + 120
    while time.time() < until:
        if os.fork():
            os._exit(0)
        os.setsid()
"""
    for _ in range(3):
        result = await supervisor.run(launch(python=script), Output())
        assert (result.code, result.survivors) == (0, 0)


async def test_a_daemon_without_the_mark_ends_too(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    script = "(setsid env -i sleep 1000 & echo $!) ; sleep 0.1"
    result = await supervisor.run(launch("sh", "-c", script), output)
    assert result.leftovers == 1
    assert not exists(int(output.of("stdout")))
