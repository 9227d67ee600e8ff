"""Runs one program so that it cannot outlive the process that asked for it.

    python -I -S guard.py PARENT_PID WATCH_FD PROGRAM [ARGUMENT…]

Started by path, alone: it imports nothing of qgjob, so that it costs a few milliseconds.

On Linux the kernel does the work: the guard asks for SIGKILL at its parent's death
(PR_SET_PDEATHSIG survives an exec) and becomes the program. Elsewhere it stays, and watches a
pipe whose other end only the parent holds: end of file means that the parent is gone, and the
whole process group is killed. WATCH_FD is that pipe, or -1 for the kernel's way.

The kernel means the *thread* that started the child: start it from one that lives as long as
the parent should, such as the main thread.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(args: list[str]) -> int:
    """Become, or run and watch, the program; return its exit code."""
    parent, watch_fd, program = int(args[0]), int(args[1]), args[2:]
    if watch_fd >= 0:
        return _run_watching(watch_fd, program)
    _die_with(parent)
    try:
        os.execvp(program[0], program)  # noqa: S606
    except OSError as error:
        return _cannot_start(program, error)


def _die_with(parent: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def _run_watching(watch_fd: int, program: list[str]) -> int:
    import subprocess
    import threading

    os.set_inheritable(watch_fd, False)
    if os.getpgid(0) != os.getpid():
        os.setsid()
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _frame: object) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, forward)
    try:
        # Other descriptors that we were given are meant for the program.
        child = subprocess.Popen(program, close_fds=False)
    except OSError as error:
        return _cannot_start(program, error)
    for number in early:
        child.send_signal(number)

    def watch() -> None:
        while os.read(watch_fd, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    if code < 0:  # end as it did, for whoever reads our exit code
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _cannot_start(program: list[str], error: OSError) -> int:
    sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
