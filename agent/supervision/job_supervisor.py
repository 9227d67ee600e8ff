"""The agent's side of supervision: one supervisor process per slot, kept from job to job."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from agent.errors import SupervisorLostError
from agent.launch import EndReason, Exit, LaunchSpec, OutputSink
from agent.supervision.channel import ControlChannel
from agent.supervision.frames import MAX_FRAME, Frame, pack
from agent.supervision.launch_errors import launch_error
from agent.supervision.output import OutputPipe
from agent.supervision.processes import MARK_VARIABLE
from agent.supervision.supervisor_process import TERM_S
from agent.supervision.sweep import sweep_leftovers

ANSWER_S = 10.0
"""A supervisor that takes so much longer than it may for ending a job is itself ended."""

BOOT = (
    "import sys; sys.path += sys.argv[2:]; "
    "from agent.supervision.supervisor_process import main; main(int(sys.argv[1]))"
)


class JobSupervisor:
    """Starts processes one at a time, and ends them and all they started, for certain.

    When this object's process dies in whatever way, the supervisor sees its socket close, ends the
    whole tree and exits.
    """

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, mark: str) -> None:
        self._process = process
        self._mark = mark
        self._channel = ControlChannel(sock, self._received, self._disconnected)
        self._alive = True
        self._answer: asyncio.Future[Frame] | None = None
        self._exit: asyncio.Future[Frame] | None = None
        self._failure: BaseException | None = None
        self._main_pid: int | None = None
        self._launch: LaunchSpec | None = None
        self._watchdog: asyncio.TimerHandle | None = None

    @classmethod
    async def start(cls, *, mark: str) -> Self:
        """Start the supervisor process. `mark` goes into the environment of everything it starts.

        Spell it with `agent.supervision.sweep.slot_mark`, so that a later agent finds its leftovers.
        """
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-I", "-S", "-c", BOOT, str(theirs.fileno()), *_packages()]
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - a vfork; jobs do not go this way
                    argv,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, MARK_VARIABLE: mark},
                )
            except OSError as error:
                ours.close()
                raise SupervisorLostError(f"cannot start a supervisor process: {error}") from error
        return cls(process, ours, mark)

    @property
    def alive(self) -> bool:
        """Whether it can be given work; when it cannot, `close` it and start another."""
        return self._alive

    @property
    def pid(self) -> int:
        """The supervisor process's own pid."""
        return self._process.pid

    async def run(
        self,
        launch: LaunchSpec,
        on_output: OutputSink,
        *,
        lease_s: float | None = None,
        on_started: Callable[[int], None] | None = None,
    ) -> Exit:
        """Run a process to its end; returns when nothing of it is left and its output was delivered.

        With `lease_s` the supervisor ends it (reason `lease_lost`) unless `renew` is called in time,
        even when this process is frozen. Cancelling this call ends the process with no grace.
        Raises `LaunchError` when it does not start, `SupervisorLostError` when the supervisor dies, and
        whatever `on_output` raised.
        """
        if self._exit is not None:
            raise RuntimeError("a supervisor runs one process at a time")
        if not self._alive:
            raise SupervisorLostError("the supervisor process of this slot has ended")
        start = self._start_frame(launch, lease_s)
        loop = asyncio.get_running_loop()
        self._answer, self._exit = loop.create_future(), loop.create_future()
        self._launch, self._failure = launch, None
        pipes: list[OutputPipe] = []
        try:
            # One after the other: for want of descriptors there may be one, or none.
            pipes.extend(OutputPipe(name, on_output, self._output_failed) for name in ("stdout", "stderr"))
            self._channel.send(start, [pipe.write_end for pipe in pipes])
            answer = await self._uncancelled(self._answer)
            if answer["verb"] == "refused":
                raise launch_error(launch, answer["errno"])
            self._main_pid = answer["pid"]
            for pipe in pipes:
                pipe.start()
            if on_started is not None:
                on_started(answer["pid"])
            end = await self._uncancelled(self._exit)
            for pipe in pipes:
                await pipe.drain()
        except BaseException:
            if not self._alive:
                await self._sweep(pipes)
            raise
        finally:
            self._exit = self._answer = self._main_pid = self._launch = None
            self._disarm()
            for pipe in pipes:
                pipe.close()
        if self._failure is not None:
            raise self._failure
        if end["survivors"]:
            # The survivors are its children: it could not tell the next job's processes from them.
            self._alive = False
        return _exit_from(end)

    def renew(self, lease_s: float) -> None:
        """Let the running process go on for `lease_s` seconds from now."""
        if self._exit is not None:
            self._channel.send({"verb": "renew", "lease_s": lease_s})

    def end(self, reason: EndReason, *, grace_s: float | None = None) -> None:
        """Have the running process ended: first signal to its group, grace, SIGTERM, SIGKILL to all.

        Without `grace_s`, that of the launch. Returns at once; `run` returns the `Exit`, with `ended` set to
        the first reason given. Another call may shorten the grace. Nothing happens when nothing runs.
        """
        if self._launch is not None:
            grace_s = self._launch.grace_s if grace_s is None else grace_s
            self._send_end(reason, grace_s, self._launch.first_signal, TERM_S)

    async def close(self) -> None:
        """End what runs, and the supervisor process. May be called more than once."""
        exit_ = self._exit
        if exit_ is not None and not exit_.done():
            self._send_end(EndReason.STOPPING, 0, signal.SIGTERM, TERM_S)
            await asyncio.wait((exit_,))
        self._alive = False
        self._channel.close()
        try:
            await asyncio.to_thread(self._process.wait, ANSWER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            await asyncio.to_thread(sweep_leftovers, self._mark)

    # -- within -------------------------------------------------------------------------------------

    def _start_frame(self, launch: LaunchSpec, lease_s: float | None) -> Frame:
        start = {
            "verb": "start",
            "argv": list(launch.argv),
            "env": {**launch.env, MARK_VARIABLE: self._mark},
            "cwd": str(launch.cwd),
            "mark": self._mark,
            "lease_s": lease_s,
        }
        if len(pack(start)) > MAX_FRAME:
            raise launch_error(launch, errno.E2BIG)
        return start

    async def _sweep(self, pipes: list[OutputPipe]) -> None:
        """End what a dead supervisor left running, and deliver the rest of its output."""
        await asyncio.shield(asyncio.to_thread(sweep_leftovers, self._mark, session=self._main_pid))
        for pipe in pipes:
            await pipe.drain()

    async def _uncancelled(self, future: asyncio.Future[Frame]) -> Frame:
        """Await an answer; a cancellation is passed on only after the process was ended."""
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            exit_ = self._exit
            if exit_ is not None:
                self._send_end(EndReason.STOPPING, 0, signal.SIGKILL, 0)
                try:
                    await asyncio.wait((exit_,))
                except asyncio.CancelledError:
                    # Its answer will be lost, so it cannot be used for another job.
                    self._disconnected()
                    self._channel.close()
            raise

    def _send_end(self, reason: EndReason, grace_s: float, first: signal.Signals, term_s: float) -> None:
        self._channel.send(
            {
                "verb": "end",
                "reason": reason.value,
                "grace_s": grace_s,
                "first_signal": int(first),
                "term_s": term_s,
            }
        )
        self._disarm()
        patience_s = grace_s + term_s + ANSWER_S
        self._watchdog = asyncio.get_running_loop().call_later(patience_s, self._process.kill)

    def _disarm(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _received(self, frame: Frame) -> None:
        answer, exit_ = self._answer, self._exit
        if answer is None or exit_ is None:
            return
        if frame["verb"] in {"started", "refused"}:
            answer.set_result(frame)
        if frame["verb"] in {"exit", "refused"}:
            exit_.set_result(frame)

    def _disconnected(self) -> None:
        self._alive = False
        for future in (self._answer, self._exit):
            if future is not None and not future.done():
                future.set_exception(SupervisorLostError("the process that watches this slot's jobs died"))
                future.exception()

    def _output_failed(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._send_end(EndReason.STOPPING, 0, signal.SIGTERM, TERM_S)


def _packages() -> list[str]:
    """Where the supervisor process finds what it imports: it looks at no site-packages by itself."""
    found = [Path(__file__).resolve().parents[2]]
    if sys.platform != "linux":
        import psutil

        found.append(Path(psutil.__file__).resolve().parents[1])
    return [str(folder) for folder in found]


def _exit_from(frame: Frame) -> Exit:
    return Exit(
        code=frame["code"],
        signal=frame["signal"],
        duration_s=frame["duration_s"],
        leftovers=frame["leftovers"],
        survivors=frame["survivors"],
        ended=None if frame["reason"] is None else EndReason(frame["reason"]),
    )
