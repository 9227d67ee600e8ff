"""How a job is ended before its time: graces, leases, cancellation."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from agent.launch import EndReason, StreamName
from agent.supervision.job_supervisor import JobSupervisor
from tests.integration.agent.conftest import Launch, Output
from tests.support.daemons import exists
from tests.support.wait import wait_for


async def test_end_lets_a_process_finish_its_report(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    script = """
import os, signal, sys, time
def finish(*_):
    os.write(1, b"report written\\n")
    sys.exit(130)
signal.signal(signal.SIGINT, finish)
os.write(1, b"ready\\n")
time.sleep(1000)
"""

    def on_output(stream: StreamName, data: bytes) -> None:
        output(stream, data)
        supervisor.end(EndReason.CANCELLED)

    result = await supervisor.run(launch(python=script), on_output)
    assert (result.code, result.ended) == (130, EndReason.CANCELLED), output.pieces
    assert output.of("stdout") == b"ready\nreport written\n"


async def test_the_grace_holds_for_children_of_a_wrapper_that_dies_at_once(
    supervisor: JobSupervisor, launch: Launch
):
    output = Output()
    child = "trap 'sleep 0.2; echo saved; exit 0' INT; echo ready; while :; do sleep 0.01; done"
    script = f'import subprocess; subprocess.run(["sh", "-c", {child!r}])'

    def on_output(stream: StreamName, data: bytes) -> None:
        output(stream, data)
        supervisor.end(EndReason.TIMED_OUT)

    result = await supervisor.run(launch(python=script), on_output)
    assert result.ended is EndReason.TIMED_OUT
    assert output.of("stdout") == b"ready\nsaved\n"


async def test_a_busy_loop_that_ignores_signals_is_killed_after_the_grace(
    supervisor: JobSupervisor, launch: Launch
):
    script = """
import signal
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
while True:
    pass
"""
    result = await supervisor.run(
        launch(python=script, grace_s=0.1), lambda _, __: supervisor.end(EndReason.TIMED_OUT)
    )
    assert (result.signal, result.ended, result.survivors) == (signal.SIGKILL, EndReason.TIMED_OUT, 0)


async def test_a_stopped_process_is_ended(supervisor: JobSupervisor, launch: Launch):
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        supervisor.run(
            launch("sh", "-c", "kill -STOP $$", grace_s=0.1), Output(), on_started=started.set_result
        )
    )
    status = Path(f"/proc/{await started}/status")
    await wait_for(lambda: "State:\tT" in status.read_text())
    supervisor.end(EndReason.CANCELLED)
    result = await task
    assert result.signal in {signal.SIGINT, signal.SIGTERM}
    assert result.ended is EndReason.CANCELLED


async def test_a_second_end_shortens_the_grace_and_keeps_the_first_reason(
    supervisor: JobSupervisor, launch: Launch
):
    def end_twice(*_: object) -> None:
        supervisor.end(EndReason.TIMED_OUT, grace_s=3600)
        supervisor.end(EndReason.CANCELLED, grace_s=0)

    script = "trap '' INT; echo ready; while :; do sleep 0.01; done"
    result = await supervisor.run(launch("sh", "-c", script), end_twice)
    assert result.ended is EndReason.TIMED_OUT


async def test_a_lease_that_is_not_renewed_ends_the_job(supervisor: JobSupervisor, launch: Launch):
    result = await supervisor.run(launch("sleep", "1000"), Output(), lease_s=0.05)
    assert result.ended is EndReason.LEASE_LOST


async def test_a_renewed_lease_lets_the_job_go_on(supervisor: JobSupervisor, launch: Launch):
    task = asyncio.create_task(supervisor.run(launch("sleep", "0.3"), Output(), lease_s=0.2))
    await asyncio.sleep(0)
    supervisor.renew(60)  # sent right behind the start: whoever is told of that first may be too late
    result = await task
    assert (result.code, result.ended) == (0, None)


async def test_cancelling_run_ends_the_job_first(supervisor: JobSupervisor, launch: Launch):
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        supervisor.run(launch("sleep", "1000"), Output(), on_started=started.set_result)
    )
    pid = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not exists(pid)
    assert (await supervisor.run(launch("true"), Output())).code == 0


async def test_close_ends_what_runs(launch: Launch, mark: str):
    supervisor = await JobSupervisor.start(mark=mark)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        supervisor.run(launch("sleep", "1000"), Output(), on_started=started.set_result)
    )
    pid = await started
    await supervisor.close()
    assert (await task).ended is EndReason.STOPPING
    assert not exists(pid)
    assert not exists(supervisor.pid)
    await supervisor.close()
