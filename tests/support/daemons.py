"""Processes that do not want to end."""

from __future__ import annotations

from agent.supervision.processes import parents

STUBBORN_DAEMON = """
import os, signal, sys
ready, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        os.write(told, b"!")
        while True:
            pass
    os._exit(0)
os.wait()
os.read(ready, 1)
"""
"""Prints its id; ignores what can be ignored, in a session of its own, with a parent that is gone."""


def exists(pid: int) -> bool:
    """Whether there is such a process."""
    return pid in parents()
