"""Stand-ins for the services of a local system: small real processes that do as they are told."""

from __future__ import annotations

import sys
from pathlib import Path

from qgjob.local.child import ChildSpec

#: Says that it is ready; at SIGTERM notes its name in a file and ends.
_POLITE = """
import os, signal, sys
from qgjob.ready import announce_ready

def end(*_):
    with open(sys.argv[2], "a") as file:
        file.write(sys.argv[1] + "\\n")
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
announce_ready(os.environ)
print(sys.argv[1], "runs", flush=True)
while True:
    signal.pause()
"""

#: Says that it is ready and does not listen to SIGTERM.
_STUBBORN = """
import os, signal
from qgjob.ready import announce_ready

signal.signal(signal.SIGTERM, signal.SIG_IGN)
announce_ready(os.environ)
while True:
    signal.pause()
"""


def polite(name: str, notes: Path) -> ChildSpec:
    """Return a service that ends at SIGTERM and appends its name to `notes` when it does."""
    return ChildSpec(name=name, argv=(sys.executable, "-c", _POLITE, name, str(notes)))


def stubborn(name: str, *, grace_s: float = 0.2) -> ChildSpec:
    """Return a service that only SIGKILL ends."""
    return ChildSpec(name=name, argv=(sys.executable, "-c", _STUBBORN), stop_grace_s=grace_s)


def shell(name: str, script: str, *, ready_timeout_s: float = 10.0) -> ChildSpec:
    """Return a child that runs a line of shell, with `$QGJOB_READY_FD` to say `ready` on."""
    return ChildSpec(name=name, argv=("/bin/sh", "-c", script), ready_timeout_s=ready_timeout_s)
