"""The supervisor on real processes: everything a job starts ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import LaunchError, SupervisorLostError
from agent.launch import EndReason, StreamName
from agent.supervision.job_supervisor import JobSupervisor
from agent.supervision.processes import marked, parents
from agent.supervision.sweep import agent_mark, slot_mark, sweep_leftovers
from tests.integration.agent.conftest import Launch, Output
from tests.support.wait import wait_for

# Ignores what can be ignored, in a session of its own, with a parent that is gone.
STUBBORN_DAEMON = """
import os, signal, sys
ready, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        os.write(told, b"!")
        while True:
            pass
    os._exit(0)
os.wait()
os.read(ready, 1)
"""


def exists(pid: int) -> bool:
    return pid in parents()


async def test_reports_code_output_and_duration(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    result = await supervisor.run(launch("sh", "-c", "echo out; echo err >&2; exit 3"), output)
    assert (result.code, result.signal, result.exit_code, result.ended) == (3, None, 3, None)
    assert (result.leftovers, result.survivors) == (0, 0)
    assert (output.of("stdout"), output.of("stderr")) == (b"out\n", b"err\n")
    assert result.duration_s > 0


async def test_the_environment_is_exactly_the_given_one(supervisor: JobSupervisor, launch: Launch, mark: str):
    output = Output()
    await supervisor.run(launch("/usr/bin/env", GREETING="grüße\n=x"), output)
    text = output.of("stdout").decode()
    assert text == f"PATH={os.environ['PATH']}\nGREETING=grüße\n=x\nQGJOB_SUPERVISED_BY={mark}\n"


async def test_stdin_is_empty_and_signals_are_at_their_defaults(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    script = (
        "import os, signal, sys; print(sys.stdin.read() == '', os.getsid(0) == os.getpid(), "
        "[n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN], "
        "signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.listdir('/proc/self/fd'))"
    )
    await supervisor.run(launch(python=script), output)
    # Python itself ignores SIGPIPE and SIGXFSZ; descriptor 3 is the listing's own.
    expected = b"True True [<Signals.SIGPIPE: 13>, <Signals.SIGXFSZ: 25>] set() ['0', '1', '2', '3']\n"
    assert output.of("stdout") == expected


async def test_death_by_a_signal_is_told_apart(supervisor: JobSupervisor, launch: Launch):
    result = await supervisor.run(launch("sh", "-c", "kill -SEGV $$"), Output())
    assert (result.code, result.signal, result.exit_code) == (None, signal.SIGSEGV, 139)
    assert result.describe() == "killed by SIGSEGV"


async def test_output_is_bytes_whatever_they_are(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    await supervisor.run(launch("printf", r"\377\000\342\202"), output)
    assert output.of("stdout") == b"\xff\x00\xe2\x82"


async def test_jobs_follow_each_other_on_one_supervisor(supervisor: JobSupervisor, launch: Launch):
    codes = [(await supervisor.run(launch("sh", "-c", f"exit {n}"), Output())).code for n in range(30)]
    assert codes == list(range(30))


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("no-such-program",), "cannot start no-such-program: no such program on this machine"),
        (("./plain.txt",), "cannot start ./plain.txt: it is not executable"),
        (("./no-first-line",), "begin with a #! line"),
        (("./strange-interpreter",), "the program named in its first line (#!) is not on this machine"),
        (("sh", "a\0b"), "holds a NUL"),
        (("sh", "\ud800"), "is no text"),
        (("sh", *["x" * 32_000] * 200), "too long"),
        (("sh", *["é" * 32_000] * 100), "too long"),
    ],
)
async def test_what_cannot_be_started_is_said_in_a_sentence(
    supervisor: JobSupervisor, launch: Launch, tmp_path: Path, argv: tuple[str, ...], sentence: str
):
    for name, text, mode in (
        ("plain.txt", "x", 0o644),
        ("no-first-line", "x", 0o755),
        ("strange-interpreter", "#!/no/such\n", 0o755),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    with pytest.raises(LaunchError) as caught:
        await supervisor.run(launch(*argv), Output())
    assert sentence in caught.value.message
    assert (await supervisor.run(launch("true"), Output())).code == 0


async def test_a_missing_folder_is_said(supervisor: JobSupervisor, launch: Launch, tmp_path: Path):
    tmp_path.rmdir()
    with pytest.raises(LaunchError, match="there is no folder"):
        await supervisor.run(launch("true"), Output())


async def test_a_stubborn_daemon_ends_with_its_job(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    result = await supervisor.run(launch(python=STUBBORN_DAEMON), output)
    assert (result.code, result.leftovers, result.survivors) == (0, 1, 0)
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
    result = await supervisor.run(
        launch("sleep", "0.3"), Output(), lease_s=0.2, on_started=lambda _pid: supervisor.renew(60)
    )
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


async def test_a_failing_sink_ends_the_job_and_is_reported(supervisor: JobSupervisor, launch: Launch):
    async def sink(_stream: StreamName, _data: bytes) -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        await supervisor.run(launch("sh", "-c", "echo x; sleep 1000"), sink)
    assert (await supervisor.run(launch("true"), Output())).code == 0


async def test_a_slow_sink_slows_a_flood_down(supervisor: JobSupervisor, launch: Launch):
    at_once = most = taken = 0

    async def sink(_stream: StreamName, data: bytes) -> None:
        nonlocal at_once, most, taken
        at_once += len(data)
        most = max(most, at_once)
        taken += len(data)
        if taken > 20_000_000:
            supervisor.end(EndReason.CANCELLED, grace_s=0)
        await asyncio.sleep(0)
        at_once -= len(data)

    result = await supervisor.run(launch("sh", "-c", "yes >&2 & exec yes"), sink)
    assert result.ended is EndReason.CANCELLED
    assert most <= 2 * 65536, "more than one chunk of each stream was in flight"


async def test_all_of_the_output_arrives_through_a_slow_sink(supervisor: JobSupervisor, launch: Launch):
    taken = bytearray()

    async def sink(_stream: StreamName, data: bytes) -> None:
        await asyncio.sleep(0.001)
        taken.extend(data)

    await supervisor.run(launch("sh", "-c", "seq 1 100000"), sink)
    assert bytes(taken).split() == [b"%d" % n for n in range(1, 100_001)]


async def test_a_stranger_that_holds_the_pipe_open_delays_nothing(supervisor: JobSupervisor, launch: Launch):
    output = Output()
    stranger: list[subprocess.Popen[bytes]] = []

    def hold(pid: int) -> None:
        with open(f"/proc/{pid}/fd/1", "wb") as file:  # noqa: PTH123
            stranger.append(subprocess.Popen(["sleep", "1000"], stdout=file))

    result = await supervisor.run(launch("sh", "-c", "sleep 0.2; echo done"), output, on_started=hold)
    assert (result.code, output.of("stdout")) == (0, b"done\n")
    assert stranger[0].poll() is None
    stranger[0].kill()
    stranger[0].wait()


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
    root = str(Path(__file__).parents[3])
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
