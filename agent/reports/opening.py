"""Opens a report file safely: a test may have put anything in its place."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO


def open_report(path: Path) -> IO[bytes]:
    """Open it for reading; links are followed. Raises `OSError`, also for what is no plain file.

    A pipe without a writer would let whoever opens it wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file")
    return os.fdopen(descriptor, "rb")
