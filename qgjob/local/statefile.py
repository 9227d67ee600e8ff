"""The small file through which other commands find a running `up` (read by `qgjob.config`)."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator, Mapping
from pathlib import Path

from qgjob.config import RunningUp, state_dirs
from qgjob.errors import QgjobError


@contextlib.contextmanager
def published(state: RunningUp, env: Mapping[str, str]) -> Generator[Path]:
    """Keep the state file in place while the block runs; gives its path.

    It appears complete and locked or not at all, is readable by this user alone, and is held by
    a lock on the file itself: readers believe it only while that lock is held.

    Raises QgjobError when no folder takes it.
    """
    path, descriptor = _write_somewhere(state, env)
    try:
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        os.close(descriptor)


def _write_somewhere(state: RunningUp, env: Mapping[str, str]) -> tuple[Path, int]:
    problem: OSError | None = None
    for folder in state_dirs(env):
        try:
            return _write(state, folder)
        except OSError as error:
            problem = error
    raise QgjobError(
        f"No folder for the state file can be written: {problem}.",
        hint="Name one in QGJOB_STATE_DIR.",
    )


def _write(state: RunningUp, folder: Path) -> tuple[Path, int]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    path = folder / f"up-{state.pid}.json"
    draft = folder / f".up-{state.pid}.draft"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, state.to_json().encode())
        draft.replace(path)
    except OSError:
        os.close(descriptor)
        draft.unlink(missing_ok=True)
        raise
    _sweep(folder)
    return path, descriptor


def _sweep(folder: Path) -> None:
    """Remove the state files of killed processes: those that nobody holds a lock on."""
    for path in folder.glob("up-*.json"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            path.unlink()
