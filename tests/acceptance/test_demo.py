"""`qgjob demo` as a newcomer runs it: it says what it did, finds the bug, and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.acceptance.conftest import Done, Qgjob, clean_env
from tests.support.wait import wait_for

BROKEN = {"tests/test_checkout_discount_rounding.py", "tests/test_checkout_receipt.py"}


@pytest.fixture
def demo(tmp_path: Path) -> Qgjob:
    """`qgjob` whose temporary files go where the test can see them."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return Qgjob(tmp_path, clean_env(tmp_path) | {"TMPDIR": str(temporary), "TERM": "xterm-256color"})


def processes_of(folder: Path) -> list[str]:
    """Processes that work in a folder, or were told of it."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            told = [*command, *process.environ().values(), process.cwd()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in told):
            found.append(" ".join(command))  # asked for once: it may have ended since
    return found


async def nothing_is_left(demo: Qgjob) -> None:
    await wait_for(lambda: not processes_of(demo.folder), 10, f"the end of {processes_of(demo.folder)}")
    assert list((demo.folder / "tmp").iterdir()) == []


@contextmanager
def terminal() -> Generator[tuple[IO[bytes], list[bytes]]]:
    """A terminal for a program to draw on, and what it has drawn."""
    ours, theirs = pty.openpty()
    drawn: list[bytes] = []

    def read() -> None:
        while True:
            try:
                drawn.append(os.read(ours, 65536))
            except OSError:  # the last who could write is gone
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with os.fdopen(theirs, "wb") as file:
        yield file, drawn
    reader.join(timeout=10)
    os.close(ours)


def run_drawn(demo: Qgjob) -> Done:
    """The demo with a terminal as stderr alone."""
    with terminal() as (screen, drawn):
        process = subprocess.Popen(
            [*demo.argv, "demo", "--json"],
            cwd=demo.folder,
            env=demo.env,
            stdout=subprocess.PIPE,
            stderr=screen,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        screen.close()
        out, _ = process.communicate(timeout=240)
    return Done(process.returncode, out, b"".join(drawn).decode())


async def test_it_goes_as_designed_and_draws_it(demo: Qgjob) -> None:
    done = run_drawn(demo)
    report, seen = done.json, done.err
    assert (done.code, report["differences"]) == (0, [])

    assert (report["jobs"], report["passed"], report["failed"], report["other"]) == (90, 88, 2, 0)
    assert {(f["app_version_id"], f["test"]) for f in report["failures"]} == {("v1.2", t) for t in BROKEN}
    assert all(failure["line"].startswith("AssertionError: Decimal(") for failure in report["failures"])
    for name in ("jobs", "passed", "failed", "other", "installs", "installs_first_come"):
        assert sum(build[name] for build in report["builds"]) == report[name]
    assert report["installs"] <= report["slots"] + len(report["builds"]) == 7
    assert report["installs_first_come"] > 2 * report["installs"]
    assert 0 < report["seconds"] < report["seconds_first_come"]

    for what in ("v1.0", "v1.1", "v1.2", "installing", "waiting", "test_checkout_receipt"):
        assert what in seen
    assert "\x1b[?25h" in seen[-100:], "the cursor is not shown again"
    assert "Traceback" not in seen
    await nothing_is_left(demo)


async def test_ctrl_c_cleans_up(demo: Qgjob) -> None:
    process = demo.start("demo")
    assert process.stderr is not None
    for line in process.stderr:
        if "CI pushes" in line:
            break
    await wait_for(lambda: any("server.py" in name for name in processes_of(demo.folder)), 60, "an install")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Stopping" in err
    assert "Traceback" not in err
    await nothing_is_left(demo)


async def test_killed_it_leaves_no_process(demo: Qgjob) -> None:
    process = demo.start("demo")
    await wait_for(lambda: any("server.py" in name for name in processes_of(demo.folder)), 60, "an install")
    process.kill()
    process.communicate(timeout=60)
    await wait_for(lambda: not processes_of(demo.folder), 20, "the end of all its processes")
