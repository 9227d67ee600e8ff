"""Finds and ends what a former agent, or a killed supervisor, left running.

A supervisor ends its processes itself in every case but one: when it is killed with SIGKILL. Then the
mark in the environment of all it started tells what was its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from pathlib import Path

from agent.supervision.processes import ancestors, descendants, marked, parents, session_of

SWEEP_S = 5.0
"""Seconds after which a process that SIGKILL does not end is given up."""


def agent_mark(agent: str, data_dir: Path) -> str:
    """The mark of an agent: two agents of one name on one machine differ by their data folder."""
    identity = f"{agent}\0{data_dir.resolve()}"
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16] + ":"


def slot_mark(agent: str, slot: str) -> str:
    """The mark of one slot's supervisor; `agent` is what `agent_mark` gave."""
    return f"{agent}{slot}:"


def sweep_leftovers(mark: str, *, session: int | None = None) -> int:
    """End every process whose mark starts with `mark`, and all they started; returns how many.

    `session` names a session whose members belong to it too, marked or not (a job may have cleared its
    environment). We and our own ancestors are never ended. Blocking: milliseconds when there is nothing
    to end, `SWEEP_S` seconds at most.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + SWEEP_S
    while found := _belonging(mark, session):
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        ended |= found
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return len(ended)


def _belonging(mark: str, session: int | None) -> set[int]:
    table = parents()
    spared = ancestors(os.getpid(), table) | {os.getpid()}
    roots = marked(mark, table)
    if session is not None:
        roots |= {pid for pid in table if session_of(pid) == session}
    roots -= spared
    return (roots | descendants(roots, table)) - spared
