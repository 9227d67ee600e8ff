"""What becomes of an attempt in which a step failed."""

from __future__ import annotations

import errno
import os

import pytest

from agent.attempts.outcome import of_error
from qgjob.domain.health import MACHINE_REASONS


@pytest.mark.parametrize(
    ("number", "word"),
    [(errno.EROFS, "disk_error"), (errno.EIO, "disk_error"), (errno.ENOSPC, "disk_full")],
)
def test_what_the_disk_does_is_the_machines_fault_and_no_builds(number: int, word: str) -> None:
    verdict = of_error(OSError(number, os.strerror(number), "/var/lib/qgjob/work"))
    assert (verdict.state, verdict.word, verdict.retryable) == ("errored", word, True)
    assert verdict.text == f"the agent cannot use its disk: {os.strerror(number)}: /var/lib/qgjob/work"
    assert word in MACHINE_REASONS
    assert (
        of_error(OSError(number, "Told by a write")).text == "the agent cannot use its disk: Told by a write"
    )


def test_another_error_of_the_system_is_told_as_it_is() -> None:
    verdict = of_error(FileNotFoundError(errno.ENOENT, "No such file", "x"))
    assert verdict.word == "agent_error"
