"""Starts a process for the supervisor: no shell, no inherited descriptors, signals at their defaults."""

from __future__ import annotations

import errno
import os
import signal
import time

_FileActions = list[tuple[int, int, str, int, int] | tuple[int, int, int]]


def spawn(argv: list[str], env: dict[str, str], cwd: str, stdout: int, stderr: int) -> int:
    """Start a process as the leader of a new session. The supervisor itself stays in `/`."""
    os.chdir(cwd)
    try:
        program = _find_program(argv[0], env.get("PATH", os.defpath))
        actions: _FileActions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
        ]
        for attempt in range(20):
            try:
                return _posix_spawn(program, argv, env, actions)
            except OSError as error:
                # Some other fork still holds the freshly written program open; that lasts for an exec.
                if error.errno != errno.ETXTBSY or attempt == 19:
                    raise
                time.sleep(0.01)
        raise AssertionError
    finally:
        os.chdir("/")


def _posix_spawn(program: str, argv: list[str], env: dict[str, str], actions: _FileActions) -> int:
    # Python ignores SIGPIPE, and we ignore SIGINT: neither is for the children to inherit.
    defaults = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    try:
        return os.posix_spawn(
            program, argv, env, file_actions=actions, setsid=True, setsigmask=(), setsigdef=defaults
        )
    except NotImplementedError:
        return os.posix_spawn(
            program, argv, env, file_actions=actions, setpgroup=0, setsigmask=(), setsigdef=defaults
        )


def _find_program(name: str, path: str) -> str:
    """Search the job's PATH, not ours. Raises `FileNotFoundError` or `PermissionError`."""
    if "/" in name:
        return name
    denied = False
    for folder in path.split(os.pathsep):
        candidate = f"{folder or '.'}/{name}"
        if os.path.isfile(candidate):  # noqa: PTH113 - pathlib is slow to import
            if os.access(candidate, os.X_OK):
                return candidate
            denied = True
    if denied:
        raise PermissionError(errno.EACCES, "not executable", name)
    raise FileNotFoundError(errno.ENOENT, "not on PATH", name)
