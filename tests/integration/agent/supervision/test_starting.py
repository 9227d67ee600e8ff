"""How a job is started: its environment, and what is said when it cannot be."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from agent.errors import LaunchError
from agent.supervision.job_supervisor import JobSupervisor
from agent.supervision.launch_errors import launch_error
from tests.integration.agent.conftest import Launch, Output


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
        (("./from-windows",), "its lines end as on Windows (CR LF)"),
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
        ("from-windows", "#!/bin/sh\r\ntrue\r\n", 0o755),
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


def test_a_missing_null_device_is_not_a_missing_program(launch: Launch, monkeypatch: pytest.MonkeyPatch):
    assert "no such program" in launch_error(launch("sh"), errno.ENOENT).message
    monkeypatch.setattr(os, "devnull", "/no/null")
    error = launch_error(launch("sh"), errno.ENOENT)
    assert error.message == "cannot start sh: this machine has no /no/null, which it reads from"
