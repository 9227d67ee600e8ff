"""TAB in real shells, beside a real system and beside none."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Qgjob
from tests.conftest import required_program
from tests.support.terminal import Terminal
from tests.support.wait import wait_for

#: How each shell is started without anybody's settings, and taught.
SHELLS = {
    "bash": (("--norc", "--noprofile", "-i"), 'eval "$(qgjob completion bash)"'),
    "zsh": (("-f", "-i"), 'autoload -Uz compinit; compinit -u -D; eval "$(qgjob completion zsh)"'),
    "fish": (("--no-config", "-i"), "qgjob completion fish | source"),
}


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    terminal = Terminal(columns=160)
    yield terminal
    terminal.close()


async def taught(terminal: Terminal, shell: str, qgjob: Qgjob) -> Callable[[str], None]:
    """A shell that has been taught to complete; gives what types a line and presses TAB."""
    options, teach = SHELLS[shell]
    path = f"{Path(qgjob.argv[0]).parent}:{qgjob.env['PATH']}"
    env = {**qgjob.env, "PATH": path, "PS1": "$ ", "HOME": str(qgjob.folder)}
    # A shell that is not given the terminal as its own does not read keys.
    terminal.start(["setsid", "-c", "-w", required_program(shell), *options], cwd=qgjob.folder, env=env)
    terminal.press(f"{teach}; echo tau''ght\r")
    await wait_for(lambda: "taught" in terminal.text, 30, f"{shell} to be taught")
    return lambda line: terminal.press(f"{line}\t")


@pytest.mark.parametrize("shell", SHELLS)
async def test_tab_completes_commands_options_and_live_ids(shell: str, qgjob: Qgjob, terminal: Terminal):
    qgjob.file("a.py", "print(1)\n")
    run_id: str = qgjob("submit", "--test", "a.py", "--json").json["run_id"]
    tab = await taught(terminal, shell, qgjob)

    async def completes(line: str, wanted: str) -> None:
        before = len(terminal.text)
        tab(line)

        def shown() -> bool:
            return wanted in terminal.text[before:].replace("\r\n", "")

        for left in reversed(range(6)):  # on a busy machine the lab's half a second may be over at first
            try:
                await wait_for(shown, 6, f"TAB behind {line!r}")
                break
            except AssertionError:
                if not left:
                    raise
                terminal.press("\t")
        terminal.press("\x15")  # away with the line

    await completes("qgjob repri", "reprioritise")
    await completes("qgjob list --app-v", "--app-version-id")
    await completes(f"qgjob status {run_id[:14]}", run_id)
    await completes("qgjob agents drain local-1/s", "local-1/s")


def test_without_an_answer_nothing_is_offered_and_nothing_said(lonely: Qgjob):
    env = {"_QGJOB_COMPLETE": "complete_bash", "COMP_WORDS": "qgjob\nstatus\n", "COMP_CWORD": "2"}
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        for server in (lonely.env["QGJOB_SERVER"], f"nats://127.0.0.1:{silent.getsockname()[1]}"):
            done = lonely(env=env | {"QGJOB_SERVER": server})
            assert (done.out.strip(), done.err) == ("", "")


async def test_a_hostile_name_reaches_no_shell(qgjob: Qgjob):
    qgjob.file("$(touch hacked)'\"`.py", "print(1)\n")
    done = qgjob("submit", "--test", "*.py", "--json")
    assert done.code == 0, done.err
    job_id = done.json["jobs"][0]["job_id"]
    env = {"_QGJOB_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"qgjob status {job_id}"}
    said = await wait_for(lambda: out if job_id in (out := qgjob(env=env).out) else "", 30)
    assert not set("$`\\;&|<>") & set(said)
