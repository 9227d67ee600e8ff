"""How a service tells whoever started it that it is ready: one line on a pipe it was given."""

from __future__ import annotations

import contextlib
import os
from collections.abc import MutableMapping

#: Names the file descriptor on which a started service says that it is ready.
READY_FD_VARIABLE = "QGJOB_READY_FD"

READY_LINE = b"ready\n"


def announce_ready(environ: MutableMapping[str, str]) -> None:
    """Write `ready` to the descriptor named in the environment and close it; without one, do nothing.

    The variable is taken out, so that programs started later do not write to a number that has
    come to mean something else. Pass `os.environ`.
    """
    number = environ.pop(READY_FD_VARIABLE, "")
    if not number.isdecimal():
        return
    # Whoever asked may have gone away meanwhile: that is no reason to stop.
    with contextlib.suppress(OSError):
        try:
            os.write(int(number), READY_LINE)
        finally:
            os.close(int(number))
