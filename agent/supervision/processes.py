"""Scans the process table: finds the descendants of a process, and processes that carry a mark.

Linux is read from /proc; elsewhere psutil does it. Nothing here is atomic: processes come and go while
the table is read, so callers look again until nothing is left.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping

MARK_VARIABLE = "QGJOB_SUPERVISED_BY"
"""In the environment of everything a supervisor starts."""


LOOK_S = 0.5
"""The longest look at the process table; some 20 ms are usual for a thousand processes."""


def parents() -> dict[int, int]:
    """Pid → parent's pid, of every process that is not a zombie."""
    if sys.platform == "linux":
        return _parents_from_proc()
    return _parents_from_psutil()


def descendants(roots: Iterable[int], table: Mapping[int, int]) -> set[int]:
    """Everything below `roots` in a table made by `parents`; the roots themselves are not included."""
    children: dict[int, list[int]] = {}
    for pid, parent in table.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def ancestors(pid: int, table: Mapping[int, int]) -> set[int]:
    """The parents of `pid`, up to the first process."""
    found: set[int] = set()
    while (pid := table.get(pid, 0)) and pid not in found:
        found.add(pid)
    return found


def marked(prefix: str, pids: Iterable[int]) -> set[int]:
    """Those of `pids` whose mark starts with `prefix`; other users' processes cannot be seen."""
    return {pid for pid in pids if (mark_of(pid) or "").startswith(prefix)}


def mark_of(pid: int) -> str | None:
    """The mark in a process's environment, None without one or when it cannot be read."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - pathlib is slow to import
                environment = file.read()
        except OSError:
            return None
        name = os.fsencode(MARK_VARIABLE) + b"="
        for entry in environment.split(b"\0"):
            if entry.startswith(name):
                return os.fsdecode(entry[len(name) :])
        return None
    import psutil

    try:
        return psutil.Process(pid).environ().get(MARK_VARIABLE)
    except (psutil.Error, OSError):
        return None


def session_of(pid: int) -> int | None:
    """The session a process belongs to; None when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _parents_from_proc() -> dict[int, int]:
    table: dict[int, int] = {}
    # The kernel lists by ascending pid: one that forks for ever keeps adding at the end.
    until = time.monotonic() + LOOK_S
    with os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdigit():
                continue
            try:
                with open(f"/proc/{entry.name}/stat", "rb") as file:  # noqa: PTH123
                    stat = file.read()
            except OSError:
                continue
            # The name, in parentheses, may itself hold spaces and parentheses.
            state, parent = stat[stat.rfind(b")") + 2 :].split(b" ", 2)[:2]
            if state not in b"ZX":
                table[int(entry.name)] = int(parent)
            if time.monotonic() > until:
                break
    return table


def _parents_from_psutil() -> dict[int, int]:
    import psutil

    table: dict[int, int] = {}
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                table[process.pid] = process.ppid()
        except psutil.Error:
            continue
    return table
