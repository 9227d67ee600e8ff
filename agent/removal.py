"""Removes what jobs and builds leave behind, whatever modes they gave it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

FOLDER_MODE = 0o755


def remove_tree(path: Path) -> None:
    """Remove a file, link or folder; nothing happens when it is not there, or cannot be removed at all.

    Links are not followed. A folder that a job made unwritable is made writable first. Blocking.
    """
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except OSError:
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            with contextlib.suppress(OSError):
                folder.chmod(FOLDER_MODE)
                waiting += [item for item in folder.iterdir() if item.is_dir() and not item.is_symlink()]
        shutil.rmtree(path, ignore_errors=True)
