from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bus_schemas.agents import GroupRef
from bus_schemas.queries import GroupView, LeaderView, Overview
from qgjob.cli.arguments import globals_first, is_verbose
from qgjob.cli.help.root_help import root_help
from qgjob.cli.main import run
from qgjob.cli.table import COMMANDS
from qgjob.client.models import Submitted
from qgjob.client.shapes import job_json, overview_json, run_json, submitted_json
from tests.support.views import NOW, ended, view


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["status", "--server", "x", "j"], ["--server", "x", "status", "j"]),
        (["status", "j", "--server=x", "-v"], ["--server=x", "-v", "status", "j"]),
        (["submit", "--", "--server", "x", "-v"], ["submit", "--", "--server", "x", "-v"]),
        (["status", "--server"], ["status", "--server"]),
        (["--creds", "c", "list", "--tls-ca", "a"], ["--creds", "c", "--tls-ca", "a", "list"]),
    ],
)
def test_global_options_may_stand_anywhere_before_the_dashes(given: list[str], wanted: list[str]):
    assert globals_first(given) == wanted


@pytest.mark.parametrize(
    ("args", "variable", "verbose"),
    [
        (["list", "-v"], "", True),
        (["list"], "", False),
        (["submit", "--", "-v"], "", False),  # the test's program is to say more, not we
        (["list"], "1", True),
        (["list"], "yes", True),
        (["list"], "0", False),
    ],
)
def test_tracebacks_are_asked_for_before_the_dashes_or_by_the_environment(
    args: list[str], variable: str, verbose: bool
):
    assert is_verbose(args, {"QGJOB_VERBOSE": variable}) == verbose


def test_every_command_of_the_table_can_be_loaded_and_has_help(capsys: pytest.CaptureFixture[str]):
    services = {"agent", "scheduler", "gateway"}  # these have command lines of their own
    for entry in COMMANDS:
        if entry.name not in services:
            assert run([entry.name, "--help"]) == 0, entry.name
            assert "Usage" in capsys.readouterr().out


def test_the_help_names_every_command():
    text = root_help()
    for entry in COMMANDS:
        assert re.search(rf"^  {entry.name} ", text, re.MULTILINE)


def last_line_of(program: str) -> str:
    """What a Python program prints last, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_help_imports_neither_the_bus_nor_a_screen():
    program = (
        "import sys; from qgjob.cli.main import run; run(['--help']);"
        "print([m for m in ('nats', 'pydantic', 'textual', 'rich', 'asyncio') if m in sys.modules])"
    )
    assert last_line_of(program) == "[]"


def test_submit_imports_no_screen_and_no_scheduler():
    program = (
        "import sys; from qgjob.cli.main import run;"
        "run(['submit', '--org-id', 'o', '--app-version-id', 'v', '--test', 'none.py', '--server', 'nats://127.0.0.1:1']);"
        "print([m for m in sys.modules if m.split('.')[0] in ('textual', 'rich', 'redis', 'agent', 'tui')])"
    )
    assert last_line_of(program) == "[]"


def test_the_dashboard_imports_no_bus_before_it_has_painted():
    program = (
        "import gc, sys; from qgjob.cli.main import run; run(['tui']);"
        "print('nats' in sys.modules, 'textual' in sys.modules, gc.isenabled())"
    )
    assert last_line_of(program) == "False True True"


def test_a_command_that_asks_imports_nothing_of_those_that_send():
    program = (
        "import sys; from qgjob.cli.main import run; run(['list', '--server', 'nats://127.0.0.1:1']);"
        "print([m for m in sys.modules if m in ('rich', 'tarfile', 'qgjob.client.submitting.packed', 'qgjob.client.watching.watch')])"
    )
    assert last_line_of(program) == "[]"


def test_a_command_leaves_with_its_code_after_all_else_that_is_to_be_done_at_the_exit():
    program = (
        "import atexit, sys, threading, time; from qgjob.cli import main;"
        "atexit.register(print, 'not reached'); sys.argv = ['qgjob', 'list', '--state', 'none'];"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start();"
        "run = main.run;"
        "main.run = lambda args: (run(args), atexit.register(print, 'at exit'))[0];"
        "main.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == "thread\nat exit\n"
    assert "none" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["--version", "--help", "completion bash"])
def test_a_command_whose_output_nobody_reads_ends_as_sigpipe_ends_one(command: str, unbuffered: str):
    reading, writing = os.pipe()
    os.close(reading)
    argv = [sys.executable, "-m", "qgjob.cli.main", *command.split()]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(argv, stdout=writing, stderr=subprocess.PIPE, text=True, env=env, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_ctrl_c_before_a_command_has_begun_shows_no_traceback(tmp_path: Path):
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    qgjob = str(Path(sys.executable).with_name("qgjob"))
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([qgjob, "list"], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_every_name_of_the_client_is_there_and_no_other():
    import qgjob.client

    for name in qgjob.client.__all__:
        assert getattr(qgjob.client, name) is not None
    with pytest.raises(AttributeError):
        _ = qgjob.client.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_the_version(capsys: pytest.CaptureFixture[str]):
    assert run(["--version"]) == 0
    assert re.fullmatch(r"qgjob \d+\.\d+\S*\n", capsys.readouterr().out)


def test_a_job_has_the_names_of_the_contract():
    job = view(state="passed", attempts=(ended(view(), "passed", exit_code=0).result,))
    document = job_json(job)
    contract = {"job_id", "run_id", "state", "org_id", "app_version_id", "test", "target", "priority"}
    assert contract | {"created_at", "attempts"} <= set(document)
    (attempt,) = document["attempts"]
    assert {
        "number",
        "agent",
        "slot",
        "started_at",
        "finished_at",
        "outcome",
        "reason",
        "installed",
        "exit_code",
    } <= set(attempt)
    assert document["created_at"] == "2023-11-14T22:13:20.000Z"
    assert attempt["started_at"] == "2023-11-14T22:13:20.000Z"


def test_a_run_and_a_submit_have_the_names_of_the_contract():
    from bus_schemas.queries import RunView

    run_view = RunView(
        run_id="r_1",
        org_id="o",
        state="running",
        size=1,
        counts={"queued": 1},
        meta={"branch": "main"},
        created_at=NOW,
        jobs=(view(),),
    )
    assert {"run_id", "state", "counts", "jobs"} <= set(run_json(run_view))
    assert run_json(run_view)["meta"] == {"branch": "main"}
    document = submitted_json(Submitted("r_1", (view(),)))
    assert document["run_id"] == "r_1"
    assert document["jobs"] == [{"job_id": "j_1", "test": "tests/a.py", "variant": None, "state": "queued"}]


def test_every_time_of_an_overview_is_written_as_one():
    group = GroupRef(capability="any", org_id="acme", app_version_id="v1")
    overview = Overview(
        at=NOW,
        leader=LeaderView(replica="one", epoch=1, since=NOW),
        groups=(GroupView(group=group, expected_end=NOW), GroupView(group=group)),
    )
    document = overview_json(overview)
    stamp = "2023-11-14T22:13:20.000Z"
    assert (document["at"], document["leader"]["since"]) == (stamp, stamp)
    assert [group["expected_end"] for group in document["groups"]] == [stamp, None]
