"""A supervisor or an agent that is killed or stopped leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import SupervisorLostError
from agent.launch import EndReason, StreamName
from agent.supervision.job_supervisor import JobSupervisor
from agent.supervision.processes import marked, parents
from agent.supervision.sweep import agent_mark, slot_mark, sweep_leftovers
from tests.integration.agent.conftest import Launch, Output
from tests.support.daemons import STUBBORN_DAEMON, exists
from tests.support.wait import wait_for


async def test_a_killed_supervisor_is_an_error_of_the_lab_and_leaves_nothing(launch: Launch, mark: str):
    supervisor = await JobSupervisor.start(mark=mark)
    output = Output()

    def kill_supervisor(stream: StreamName, data: bytes) -> None:
        output(stream, data)
        os.kill(supervisor.pid, signal.SIGKILL)

    with pytest.raises(SupervisorLostError):
        await supervisor.run(
            launch(python=STUBBORN_DAEMON + "import time; time.sleep(1000)"), kill_supervisor
        )
    assert not exists(int(output.of("stdout")))
    assert not supervisor.alive
    with pytest.raises(SupervisorLostError):
        await supervisor.run(launch("true"), Output())
    await supervisor.close()
    fresh = await JobSupervisor.start(mark=mark)
    assert (await fresh.run(launch("true"), Output())).code == 0
    await fresh.close()


async def test_want_of_descriptors_ends_one_job_and_not_the_supervisor(
    supervisor: JobSupervisor, launch: Launch
):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    before = len([*Path("/proc/self/fd").iterdir()])
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 3, hard[1]))  # room for one pipe, not for two
    try:
        with pytest.raises(OSError, match="Too many open files"):
            await supervisor.run(launch("true"), Output())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, hard)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
    assert (await supervisor.run(launch("true"), Output())).code == 0


async def test_a_supervisor_that_answers_no_more_is_ended_too(
    launch: Launch, mark: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agent.supervision.job_supervisor.ANSWER_S", 0.1)
    supervisor = await JobSupervisor.start(mark=mark)
    output = Output()

    def stop_and_end(stream: StreamName, data: bytes) -> None:
        output(stream, data)
        os.kill(supervisor.pid, signal.SIGSTOP)
        supervisor.end(EndReason.TIMED_OUT, grace_s=0)

    with pytest.raises(SupervisorLostError):
        await supervisor.run(launch(python=STUBBORN_DAEMON + "import time; time.sleep(1000)"), stop_and_end)
    assert not exists(int(output.of("stdout")))
    await supervisor.close()
    assert not exists(supervisor.pid)


AGENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from agent.launch import LaunchSpec
from agent.supervision.job_supervisor import JobSupervisor

async def main():
    supervisor = await JobSupervisor.start(mark=sys.argv[2])
    launch = LaunchSpec(argv=(sys.executable, "-I", "-S", "-c", sys.argv[3]), env={}, cwd=Path("/"))
    print(supervisor.pid, flush=True)
    await supervisor.run(launch, lambda _, data: print(data.decode(), end="", flush=True), lease_s=float(sys.argv[4]))

asyncio.run(main())
"""


async def start_agent(mark: str, script: str, lease_s: float) -> tuple[subprocess.Popen[bytes], int, int]:
    """A small agent that runs one script; gives its process, its supervisor's pid, the printed pid."""
    root = str(Path(__file__).parents[4])
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", AGENT, root, mark, script, str(lease_s)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [int(await asyncio.to_thread(process.stdout.readline)) for _ in range(2)]
    process.stdout.close()
    return process, lines[0], lines[1]


async def test_kill_9_of_the_agent_ends_everything(mark: str):
    script = STUBBORN_DAEMON + "import time; time.sleep(1000)"
    process, supervisor_pid, daemon_pid = await start_agent(mark, script, 3600)
    process.kill()
    process.wait()
    await wait_for(lambda: not exists(daemon_pid) and not exists(supervisor_pid))
    assert not marked(mark, parents())


async def test_a_frozen_agent_loses_its_job_with_its_lease(mark: str):
    script = STUBBORN_DAEMON + "import time; time.sleep(1000)"
    process, supervisor_pid, daemon_pid = await start_agent(mark, script, 0.5)
    os.kill(process.pid, signal.SIGSTOP)
    await wait_for(lambda: not exists(daemon_pid))
    assert exists(supervisor_pid)
    os.kill(process.pid, signal.SIGCONT)
    process.wait()
    await wait_for(lambda: not exists(supervisor_pid))


async def test_a_later_agent_sweeps_what_a_killed_pair_left(mark: str):
    script = STUBBORN_DAEMON + "import time; time.sleep(1000)"
    process, supervisor_pid, daemon_pid = await start_agent(mark, script, 3600)
    os.kill(supervisor_pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert exists(daemon_pid)
    assert sweep_leftovers("test-of-another-agent:") == 0
    assert sweep_leftovers(mark) >= 3
    assert not exists(daemon_pid)
    assert not exists(supervisor_pid)


def test_marks_tell_agents_apart_by_name_and_folder(tmp_path: Path):
    marks = {agent_mark(name, tmp_path / folder) for name in ("a", "b") for folder in ("x", "y")}
    assert len(marks) == 4
    mark = agent_mark("a", tmp_path)
    assert slot_mark(mark, "s1").startswith(mark)
    assert not slot_mark(mark, "s10").startswith(slot_mark(mark, "s1"))
