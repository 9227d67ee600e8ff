"""Keeps some of the disk free: downloads and unpacking fail before it is full, as tests write to it too."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.config.settings import MIB

MIN_FREE_BYTES: Final = 200 * MIB
_LOOK_EACH_BYTES: Final = 8 * MIB


def require_room(folder: Path, size: int) -> None:
    """Raise `OSError` when the disk of a folder, with so many more bytes, had not `MIN_FREE_BYTES` left."""
    free = shutil.disk_usage(folder).free
    if size + MIN_FREE_BYTES > free:
        text = (
            f"{_mib(size)} more would leave less than {_mib(MIN_FREE_BYTES)} of the {_mib(free)} on the disk"
        )
        raise OSError(errno.ENOSPC, text)


def is_short(folder: Path) -> bool:
    """Whether the disk of a folder has no room for jobs."""
    return shutil.disk_usage(folder).free < MIN_FREE_BYTES


def room_while_writing(folder: Path) -> Callable[[int], None]:
    """To be called with the bytes written so far, now and then; raises like `require_room`."""
    seen = -_LOOK_EACH_BYTES

    def look(written: int) -> None:
        nonlocal seen
        if written - seen >= _LOOK_EACH_BYTES:
            seen = written
            require_room(folder, 0)

    return look


def _mib(size: int) -> str:
    return f"{-(-size // MIB)} MiB"
