"""The dashboard in a real terminal: it starts, draws, answers keys, and leaves everything as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.accounts import server_of_guests
from tests.support.lab.output import chunks_of
from tests.support.lab.service import LabService
from tests.support.servers import NatsServer
from tests.support.terminal import Terminal
from tests.support.wait import wait_for

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from qgjob.bus.connect import ServerOptions
from qgjob.errors import QgjobError
from tui.launch import run
try:
    sys.exit(run(ServerOptions(url=sys.argv[1]), read_only=False))
except QgjobError as error:
    print(error.message, error.hint, file=sys.stderr)
    sys.exit(int(error.exit_code))
"""


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def start(terminal: Terminal, url: str) -> None:
    terminal.start([sys.executable, "-c", PROGRAM, url], cwd=ROOT)


async def test_it_starts_draws_follows_and_leaves_no_trace(
    terminal: Terminal, lab: LabService, nats_server: NatsServer
) -> None:
    job_id = next(slot.job.spec.job_id for slot in lab.model.lab if slot.job)
    start(terminal, nats_server.url)
    await wait_for(lambda: "● live" in terminal.text, 30)
    await wait_for(lambda: "Queue" in terminal.text and "lab-1" in terminal.text)
    await lab.step()
    await wait_for(lambda: "running" in terminal.text)

    terminal.press(f"/{job_id}\r")
    await wait_for(lambda: "1 of " in terminal.text)
    terminal.press("\r")
    await wait_for(lambda: "Log · " in terminal.text)
    view = lab.model.views[job_id]
    log = chunks_of(job_id, view.test, at=lab.model.now)
    await lab.publish_log(view.org_id, log[:3])
    await wait_for(lambda: "test session starts" in terminal.text)
    await lab.publish_log(view.org_id, log[3:])
    await wait_for(lambda: "12 passed" in terminal.text)

    terminal.press("q")
    await wait_for(lambda: terminal.code is not None, 20)
    assert terminal.code == 0
    await wait_for(lambda: terminal.restored)


async def test_a_hostile_log_reaches_the_terminal_as_text(
    terminal: Terminal, lab: LabService, nats_server: NatsServer
) -> None:
    job_id = next(slot.job.spec.job_id for slot in lab.model.lab if slot.job)
    view = lab.model.views[job_id]
    (chunk, *_) = chunks_of(job_id, view.test, at=lab.model.now)
    evil = "\x1b]52;c;ZXZpbA==\x07 \x9b2J \x1b[333;1H\x1b[6n\x1bc and then some text\n"
    await lab.publish_log(view.org_id, [chunk.model_copy(update={"parts": (("out", evil),)})])
    start(terminal, nats_server.url)
    await wait_for(lambda: "● live" in terminal.text, 30)
    terminal.press(f"/{job_id}\r")
    await wait_for(lambda: "1 of " in terminal.text)
    terminal.press("\r")
    await wait_for(lambda: "and then some text" in terminal.text)
    for attack in (b"\x1b]52", b"\x1bc", b"\x1b[6n", b"\x1b[333;1H", "\x9b".encode()):
        assert attack not in terminal.raw
    terminal.press("q")
    await wait_for(lambda: terminal.code is not None, 20)


@pytest.mark.parametrize("leads", ["2>stderr", "2>&-"])
async def test_it_draws_though_stderr_leads_into_a_file_or_nowhere(
    terminal: Terminal, nats_server: NatsServer, tmp_path: Path, leads: str
) -> None:
    log = tmp_path / "stderr"
    log.touch()
    words = [sys.executable, "-c", PROGRAM, nats_server.url]
    terminal.start(["sh", "-c", f'exec "$@" {leads.replace("stderr", str(log))}', "sh", *words], cwd=ROOT)
    await wait_for(lambda: "Queue" in terminal.text, 30)
    terminal.press("q")
    await wait_for(lambda: terminal.code is not None, 20)
    assert terminal.code == 0
    assert log.read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_restores_the_terminal(
    terminal: Terminal, nats_server: NatsServer, number: signal.Signals
) -> None:
    start(terminal, nats_server.url)
    await wait_for(lambda: "Queue" in terminal.text, 30)
    terminal.signal(number)
    await wait_for(lambda: terminal.code is not None, 20)
    await wait_for(lambda: terminal.restored)


async def test_a_terminal_that_goes_without_a_signal_ends_it(
    terminal: Terminal, nats_server: NatsServer
) -> None:
    start(terminal, nats_server.url)
    await wait_for(lambda: "Queue" in terminal.text, 30)
    terminal.vanish()
    await wait_for(lambda: terminal.code is not None, 20)


async def test_refused_credentials_are_said_when_the_terminal_is_the_users_again(
    terminal: Terminal, tmp_path: Path
) -> None:
    async with server_of_guests(tmp_path) as server:
        start(terminal, server.url.replace("://", "://intruder:guess@"))
        await wait_for(lambda: terminal.code is not None, 30)
        assert terminal.code == 4
        await wait_for(lambda: "refused the credentials" in terminal.text)
        assert terminal.restored


def test_without_a_terminal_it_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "nats://127.0.0.1:4"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
