"""Why a process could not be started, in a sentence for whoever wrote the test."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from agent.errors import LaunchError
from agent.launch import LaunchSpec


def launch_error(launch: LaunchSpec, number: int) -> LaunchError:
    """What the system's error number means for a launch."""
    program = launch.argv[0]
    if not launch.cwd.is_dir():
        return LaunchError(f"cannot start {program}: there is no folder {launch.cwd}")
    in_bundle = "/" in program and (launch.cwd / program).exists()
    if number == errno.ENOENT and in_bundle and _first_line(launch.cwd / program).endswith(b"\r"):
        return LaunchError(
            f"cannot start {program}: its lines end as on Windows (CR LF), so that the program in its first "
            "line (#!) is not found; save it with LF alone",
            retryable=False,
        )
    if number == errno.ENOENT and in_bundle:
        return LaunchError(
            f"cannot start {program}: the program named in its first line (#!) is not on this machine"
        )
    if number == errno.ENOENT and not Path(os.devnull).exists():
        return LaunchError(f"cannot start {program}: this machine has no {os.devnull}, which it reads from")
    if number == errno.ENOENT:
        return LaunchError(f"cannot start {program}: no such program on this machine")
    if number == errno.ENOEXEC:
        return LaunchError(
            f"cannot start {program}: it is no program for this machine, and does not begin with a #! line",
            retryable=False,
        )
    if number == errno.EINVAL:
        return LaunchError(
            f"cannot start {program!r}: an argument or an environment variable holds a NUL or is no text",
            retryable=False,
        )
    if number == errno.EACCES:
        return LaunchError(f"cannot start {program}: it is not executable", retryable=False)
    if number == errno.E2BIG:
        return LaunchError(
            f"cannot start {program}: its arguments and environment are too long", retryable=False
        )
    return LaunchError(f"cannot start {program}: {os.strerror(number)}")


def _first_line(script: Path) -> bytes:
    """What follows `#!`, at most what the system itself looks at."""
    with contextlib.suppress(OSError), script.open("rb") as file:
        return file.readline(256).removesuffix(b"\n")
    return b""
