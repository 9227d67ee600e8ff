"""`watch` and `top` beside a real system, piped and on a terminal."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from qgjob.local.ports import free_port
from tests.acceptance.conftest import Qgjob
from tests.support.terminal import Terminal
from tests.support.wait import wait_for

BRIEF = "import time\ntime.sleep(0.5)\n"


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    terminal = Terminal(columns=100, rows=30)
    yield terminal
    terminal.close()


def submitted(qgjob: Qgjob, count: int = 3, text: str = BRIEF) -> dict[str, Any]:
    for number in range(count):
        qgjob.file(f"t{number}.py", text)
    done = qgjob("submit", "--test", "t*.py", "--json", "--", "python3", "{test}")
    assert done.code == 0, done.err
    document: dict[str, Any] = done.json
    return document


def test_a_run_is_followed_to_its_end(qgjob: Qgjob):
    gate = qgjob.folder / "gate"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)\n"
    run_id = submitted(qgjob, text=wait)["run_id"]
    watching = qgjob.start("watch", run_id)
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith(f"{run_id} ")
    gate.touch()
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    *lines, last = out.splitlines()
    assert last == f"{run_id} passed: 3 passed"
    ends = {line.split()[2] for line in lines if line.split()[1] == "passed"}
    assert ends == {"t0.py", "t1.py", "t2.py"}
    done = qgjob("watch", run_id)
    assert done.out.splitlines() == [last]


def test_for_scripts_each_line_is_an_object_and_the_last_tells_of_the_run(qgjob: Qgjob):
    document = submitted(qgjob)
    done = qgjob("watch", document["run_id"], "--json")
    *lines, last = [json.loads(line) for line in done.out.splitlines()]
    assert {line["event"] for line in lines} == {"job"}
    states = {line["job_id"]: line["state"] for line in lines}
    assert states == dict.fromkeys([job["job_id"] for job in document["jobs"]], "passed")
    assert last == {
        "event": "run",
        "run_id": document["run_id"],
        "state": "passed",
        "counts": {"passed": 3},
    }


async def test_the_whole_lab_is_followed_until_ctrl_c(qgjob: Qgjob, terminal: Terminal):
    terminal.start([*qgjob.argv, "watch"], cwd=qgjob.folder, env=qgjob.env)
    await wait_for(lambda: "Ctrl-C ends" in terminal.text, 20)
    run = submitted(qgjob, 1)
    job_id = run["jobs"][0]["job_id"]
    await wait_for(lambda: any("passed" in x and job_id in x for x in terminal.text.splitlines()), 20)
    assert qgjob("agents", "pause", "local/s0", "--note", "new cable").code == 0
    try:
        await wait_for(lambda: "local/s0 paused" in terminal.text, 20)
    finally:
        assert qgjob("agents", "resume", "local/s0").code == 0
    await wait_for(lambda: "local/s0 in order" in terminal.text, 20)
    terminal.signal(signal.SIGINT)
    await wait_for(lambda: terminal.code == 0, 10)


async def test_top_is_drawn_on_a_terminal_and_leaves_it_as_it_was(qgjob: Qgjob, terminal: Terminal):
    run = submitted(qgjob, 1, "import time\ntime.sleep(600)\n")
    job_id = run["jobs"][0]["job_id"]
    terminal.start([*qgjob.argv, "top"], cwd=qgjob.folder, env=qgjob.env)
    try:
        await wait_for(lambda: job_id in terminal.text, 20)
        assert "QUEUE" in terminal.text
    finally:
        assert qgjob("cancel", run["run_id"]).code == 0
    terminal.signal(signal.SIGINT)
    await wait_for(lambda: terminal.code == 0, 10)

    def as_it_was() -> bool:  # what was written last may not be read yet
        assert terminal.raw.rfind(b"\x1b[?1049l") > terminal.raw.rfind(b"\x1b[?1049h") >= 0
        return terminal.raw.rfind(b"\x1b[?25h") > terminal.raw.rfind(b"\x1b[?25l")

    await wait_for(as_it_was)


def test_without_a_terminal_top_prints_once(qgjob: Qgjob):
    done = qgjob("top")
    assert (done.code, done.err) == (0, "")
    assert "local/s0" in done.out
    assert "\x1b" not in done.out
    document = qgjob("top", "--json").json
    assert document.keys() == {"overview", "agents", "running"}


def test_without_a_server_each_says_so(lonely: Qgjob):
    for command in (("watch",), ("watch", "r_01m874kaa0dp9zb8cfeadytmfg"), ("top",)):
        assert lonely(*command).code == 5


def test_the_doctor_finds_nothing_wrong_with_a_system_that_works(qgjob: Qgjob):
    done = qgjob("doctor")
    assert done.code == 0, done.out
    document = qgjob("doctor", "--json").json
    assert document["ok"]
    names = {finding["name"] for finding in document["findings"]}
    assert names >= {"server", "jetstream", "http", "submit", "control", "store", "leader", "projector"}
    assert names >= {"agents", "slots", "versions", "clocks", "disk", "store disk"}


def test_the_doctor_of_another_lab_does_not_look_at_the_disk_of_ones_own(qgjob: Qgjob):
    done = qgjob("doctor", "--json", "--server", f"nats://127.0.0.1:{free_port('127.0.0.1')}")
    assert done.code == 5
    assert "store disk" not in {finding["name"] for finding in done.json["findings"]}


def test_the_doctor_of_no_system_says_what_to_start(lonely: Qgjob):
    done = lonely("doctor")
    assert done.code == 5
    assert "qgjob up" in done.out
