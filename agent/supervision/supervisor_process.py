"""The supervisor process: starts one process at a time, and reliably ends it with all its descendants.

It is the agent's child and the adoptive parent of everything below it (`PR_SET_CHILD_SUBREAPER`): a
process that detaches, forks twice or opens a session of its own still becomes our child when its parent
dies. So on Linux "we have no children left" is proof that nothing is left. Elsewhere the mark in the
environment has to do.

It runs as `python -I -S` with the standard library alone, and is single-threaded.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import sys
import time
from types import FrameType

from agent.supervision.frames import Frame, FrameError, FrameReader, pack
from agent.supervision.processes import descendants, marked, parents, session_of
from agent.supervision.spawn import spawn

TERM_S = 0.5
"""Seconds between SIGTERM and SIGKILL, for leftovers and at the end of a grace."""
ORPHANED_TERM_S = 1.0
"""The same when the agent has gone: nobody is there to be patient."""
KILL_S = 5.0
"""Seconds of SIGKILL after which what still lives is reported as a survivor."""
KILL_INTERVAL_S = 0.02
HUNT_S = 0.02
REAP_AT_ONCE = 100
"""Zombies collected before looking at anything else: something that forks for ever makes them for ever."""

_PR_SET_CHILD_SUBREAPER = 36
_NEVER = float("inf")


def _now() -> float:
    """Seconds that go on while the machine sleeps, so that a lease does not outlast a closed lid.

    On macOS that is this clock, while `time.monotonic` stands still.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC)


class _Job:
    """The running process and how far its ending has come."""

    def __init__(self, pid: int, mark: str, lease_s: float | None) -> None:
        self.pid = pid
        self.mark = mark
        self.started = time.monotonic()
        self.lease_until = _NEVER if lease_s is None else _now() + lease_s
        self.status: int | None = None
        self.duration_s = 0.0
        self.reason: str | None = None
        self.leftovers: set[int] = set()
        # Each a point in time at which the next, stronger, means is used; infinite until it is decided.
        self.term_at = _NEVER
        self.kill_at = _NEVER
        self.give_up_at = _NEVER
        self.term_s = TERM_S

    def next_deadline(self) -> float:
        return min(self.lease_until, self.term_at, self.kill_at, self.give_up_at)


class Supervisor:
    """One control socket, at most one job."""

    def __init__(self, control: socket.socket, wakeup: int) -> None:
        self._control = control
        self._wakeup = wakeup
        self._reader = FrameReader()
        self._descriptors: list[int] = []
        self._job: _Job | None = None
        self._orphaned = False

    def serve(self) -> None:
        """Work until the agent is gone and nothing is left running."""
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        control = self._control.fileno()
        poll.register(control, select.POLLIN)
        while self._job is not None or not self._orphaned:
            for descriptor, _ in poll.poll(self._timeout_ms()):
                if descriptor == self._wakeup:
                    if signal.SIGTERM in os.read(self._wakeup, 512):
                        self._orphan()
                elif not self._orphaned:
                    self._receive()
            if self._orphaned:
                with contextlib.suppress(KeyError):
                    poll.unregister(control)
            if self._job is not None:
                self._advance(self._job)

    def _timeout_ms(self) -> float | None:
        if self._job is None:
            return None
        deadline = self._job.next_deadline()
        # Rounded up: a poll that ends a little early would spin.
        return None if deadline == _NEVER else max(0, int((deadline - _now()) * 1000) + 1)

    # -- what the agent says ------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 65536, 8)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            self._descriptors += descriptors
            frames = self._reader.feed(data)
        except (OSError, FrameError):
            data, frames = b"", []
        if not data:
            self._orphan()
        for frame in frames:
            verb = frame["verb"]
            if verb == "start":
                self._start(frame)
            elif verb == "renew" and self._job is not None:
                self._job.lease_until = _now() + frame["lease_s"]
            elif verb == "end" and self._job is not None:
                self._end(self._job, frame)

    def _orphan(self) -> None:
        self._orphaned = True
        self._control.close()
        if self._job is not None:
            self._begin_term(self._job, ORPHANED_TERM_S)

    def _send(self, frame: Frame) -> None:
        if not self._orphaned:
            try:
                self._control.sendall(pack(frame))
            except OSError:
                self._orphan()

    def _start(self, frame: Frame) -> None:
        stdout, stderr, *_ = self._descriptors
        try:
            pid = spawn(frame["argv"], frame["env"], frame["cwd"], stdout, stderr)
        except (OSError, ValueError) as error:
            # ValueError: a NUL or a lone surrogate in an argument, `=` in a variable's name.
            number = error.errno if isinstance(error, OSError) else errno.EINVAL
            self._send({"verb": "refused", "errno": number})
            return
        finally:
            for descriptor in self._descriptors:
                os.close(descriptor)
            self._descriptors.clear()
        self._job = _Job(pid, frame["mark"], frame["lease_s"])
        self._send({"verb": "started", "pid": pid})

    def _end(self, job: _Job, frame: Frame) -> None:
        if job.status is not None:
            return
        job.reason = job.reason or frame["reason"]
        if frame["grace_s"] <= 0 or job.kill_at != _NEVER:
            self._begin_term(job, frame["term_s"])
            return
        job.term_s = min(job.term_s, frame["term_s"])
        asked_before = job.term_at != _NEVER
        job.term_at = min(job.term_at, _now() + frame["grace_s"])
        if asked_before:
            # A second SIGINT makes many tools drop what they were saving.
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(job.pid, frame["first_signal"])

    # -- the ending ---------------------------------------------------------------------------------

    def _begin_term(self, job: _Job, term_s: float) -> None:
        if job.kill_at == _NEVER:
            job.term_at = min(job.term_at, _now())
            job.term_s = term_s
        else:
            job.kill_at = min(job.kill_at, _now() + term_s)

    def _advance(self, job: _Job) -> None:
        """Reap, and take whatever step is due."""
        nothing_left = self._reap(job)
        now = _now()
        if job.status is not None and nothing_left and not self._living(job):
            self._finish(job, survivors=0)
            return
        if now >= job.lease_until:
            job.lease_until = _NEVER
            if job.status is None:
                job.reason = job.reason or "lease_lost"
                self._begin_term(job, TERM_S)
        if now >= job.term_at:
            job.term_at = _NEVER
            job.kill_at = now + job.term_s
            self._signal_all(job, signal.SIGTERM)
        if now >= job.kill_at:
            if job.give_up_at == _NEVER:
                job.give_up_at = now + KILL_S
            job.kill_at = now + KILL_INTERVAL_S
            self._hunt_children(job)
            self._signal_all(job, signal.SIGKILL)
        if now >= job.give_up_at:
            self._finish(job, survivors=len(self._living(job)))

    def _reap(self, job: _Job) -> bool:
        """Collect what has died; True when we have no child left."""
        for _ in range(REAP_AT_ONCE):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                break
            if pid == job.pid:
                job.duration_s = time.monotonic() - job.started
                job.status = status
                self._main_ended(job)
        return False

    def _main_ended(self, job: _Job) -> None:
        job.leftovers = self._living(job)
        # After a first signal the rest may use its grace, to write reports; otherwise its time is over.
        if job.reason is None:
            self._begin_term(job, TERM_S)

    def _living(self, job: _Job) -> set[int]:
        """Descendants that are not zombies. Where nobody is adopted, the mark finds the detached."""
        if sys.platform == "linux":
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return set()
        table = parents()
        living = descendants((os.getpid(),), table)
        if sys.platform != "linux":
            living |= marked(job.mark, table) - {os.getpid()}
            # The system's own programs show nobody their environment on macOS.
            living |= {pid for pid in table if session_of(pid) == job.pid}
        return living

    def _signal_all(self, job: _Job, number: int) -> None:
        living = self._living(job)
        if job.status is not None:
            job.leftovers |= living
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if number == signal.SIGTERM:
            # A stopped process sees the signal only once it goes on.
            for pid in living:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGCONT)

    def _hunt_children(self, job: _Job) -> None:
        """Kill those that flee by forking and exiting: each new one is our child, but not for long.

        A look at the whole process table takes longer than a fork; a look at our own children does not.
        """
        pid = os.getpid()
        until = time.monotonic() + HUNT_S
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", "rb") as file:  # noqa: PTH123
            while time.monotonic() < until and not self._reap(job):
                file.seek(0)
                for child in file.read().split():
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(int(child), signal.SIGKILL)

    def _finish(self, job: _Job, *, survivors: int) -> None:
        self._job = None
        status = job.status if job.status is not None else signal.SIGKILL
        self._send(
            {
                "verb": "exit",
                "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
                "duration_s": job.duration_s or time.monotonic() - job.started,
                "leftovers": len(job.leftovers),
                "survivors": survivors,
                "reason": job.reason,
            }
        )


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    """The number arrives through the wakeup descriptor."""


def main(control_fd: int) -> None:
    """Entry point of the process; `control_fd` is our end of the agent's socket pair."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _only_wake)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    _adopt_orphans()
    control = socket.socket(fileno=control_fd)
    control.set_inheritable(False)
    Supervisor(control, read_end).serve()
