"""Opens a report file safely, as a test may have put anything in its place; and what is read at most."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO, Final

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of all that one reader reads for an attempt."""
MAX_FILES: Final = 1000
MAX_CASES: Final = 100_000
MAX_TRIES: Final = 100
"""Of a case: the last ones."""
MAX_DEPTH: Final = 64
"""Of elements or suites within one another."""


def open_report(path: Path) -> IO[bytes]:
    """Open it for reading; links are followed. Raises `OSError`, also for what is no plain file.

    A pipe without a writer would let whoever opens it wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file")
    return os.fdopen(descriptor, "rb")
