"""The installed command in tmux: it draws what an operator sees, and leaves the screen as it was."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import required_program
from tests.support.lab.service import LabService
from tests.support.servers import NatsServer
from tests.support.tmux import Tmux
from tests.support.wait import wait_for


@pytest.fixture
def tmux() -> Iterator[Tmux]:
    required_program("tmux")
    with tempfile.TemporaryDirectory(prefix="qgjob-tmux-") as folder:  # a socket's path is short
        window = Tmux(Path(folder))
        # A shell that exports COLUMNS says what the size was once.
        size = {"COLUMNS": "80", "LINES": "24"}
        window.start({"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": folder, **size})
        try:
            yield window
        finally:
            window.close()


async def test_it_draws_answers_and_restores_the_screen(
    tmux: Tmux, lab: LabService, nats_server: NatsServer
) -> None:
    job_id = next(slot.job.spec.job_id for slot in lab.model.lab if slot.job)
    await wait_for(lambda: tmux.screen.startswith("$ "))  # what is typed sooner is echoed twice
    tmux.type("echo what stood here before")
    tmux.press("Enter")
    await wait_for(lambda: "\nwhat stood here before\n$ " in tmux.screen)
    tmux.type(f"qgjob --server {nats_server.url} tui; echo left with $?")
    tmux.press("Enter")

    def drawn() -> bool:
        lines = tmux.screen.splitlines()  # it may be read in the middle of being written
        assert len(lines) == 40, lines
        assert lines[0].startswith(" qgjob   ● live"), lines
        assert any("4 Jobs" in line for line in lines), lines
        assert "? Help" in lines[-1], lines
        assert all(line.rstrip()[-1] in "╮│╯" for line in lines[2:-2] if line.startswith("│")), lines
        return True

    await wait_for(drawn, 60)

    tmux.type(f"/{job_id}")
    await wait_for(lambda: "1 of " in tmux.screen)
    tmux.press("Enter")
    await wait_for(lambda: "? Help" in tmux.screen)
    tmux.press("Enter")
    await wait_for(lambda: job_id in tmux.screen and "Log · " in tmux.screen)
    tmux.press("Escape")
    await wait_for(lambda: "4 Jobs" in tmux.screen)
    tmux.resize(80, 24)
    await wait_for(lambda: len(lines := tmux.screen.splitlines()) == 24 and "? Help" in lines[-1])

    tmux.type(":quit")
    tmux.press("Enter")
    await wait_for(lambda: "left with 0" in tmux.screen, 20)
    assert "\nwhat stood here before\n" in tmux.screen
    assert "Jobs" not in tmux.screen
