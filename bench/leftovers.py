"""What jobs and killed agents left on this machine, looked for without the agent's own bookkeeping.

Every process of a job carries a token in its environment, whoever started it; so a look at all
processes finds those that escaped, and the ports they listen to.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import psutil

TOKEN: Final = "QGJOB_CHAOS"
_LINKS: Final = Path("/tmp")

_KEPT: Final = ("qgjob-devices-*", "adb.*.log")
"""Whose a device is, there for good as removing a locked file is a race; what the adb server writes."""

Look = Callable[[], Awaitable[list[str]]]
"""A line for each thing that is left."""


async def settled(look: Look, *, patience_s: float) -> list[str]:
    """What a look still finds after a while: cleaning up goes on beside the jobs."""
    until = time.monotonic() + patience_s
    while True:
        lines = await look()
        if not lines or time.monotonic() > until:
            return lines
        await asyncio.sleep(0.25)


def processes_of(token: str) -> list[psutil.Process]:
    """Processes with the token in their environment or on their command line."""
    processes: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(TOKEN) == token or token in process.cmdline():
                processes.append(process)
    return processes


def processes(token: str) -> list[str]:
    """Those processes, as a person would look for them."""
    return [f"process {process.pid}: {_line(process)}" for process in processes_of(token)]


def ports(token: str) -> list[str]:
    """TCP ports that they listen to."""
    lines: list[str] = []
    for process in processes_of(token):
        with contextlib.suppress(psutil.Error, OSError):
            lines += [
                f"port {listening.laddr.port} of process {process.pid}: {_line(process)}"
                for listening in process.net_connections("tcp")
                if listening.status == psutil.CONN_LISTEN
            ]
    return lines


def work_folders(folder: Path) -> list[str]:
    """Folders of attempts below the data folder of a system."""
    return [f"folder {path}" for path in folder.glob("agent-*/work/*/*")]


def temporary(folder: Path, tmp: Path) -> list[str]:
    """Files of theirs in a TMPDIR that nobody else uses, half downloads, and links into the data folder."""
    lines = [f"temporary {path}" for path in tmp.glob("*") if not any(map(path.match, _KEPT))]
    lines += [f"download {path}" for path in folder.glob("agent-*/**/incoming/*")]
    for link in _LINKS.glob("qgjob-*"):
        with contextlib.suppress(OSError):
            if link.is_symlink() and link.readlink().is_relative_to(folder):
                lines.append(f"link {link}")
    return lines


def _line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).replace("\n", " ")[:80]
    return "?"
