"""The agent's side of supervision: one supervisor process per slot, kept from job to job."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Self

from agent.launch import EndReason, Exit, LaunchSpec, OutputSink


class JobSupervisor:
    """Starts processes one at a time, and ends them and all they started, for certain.

    When this object's process dies in whatever way, the supervisor sees its socket close, ends the
    whole tree and exits.
    """

    @classmethod
    async def start(cls, *, mark: str) -> Self:
        """Start the supervisor process. `mark` goes into the environment of everything it starts.

        Use `agent.supervision.marks` to spell it, so that a later agent finds its leftovers.
        """
        raise NotImplementedError

    @property
    def alive(self) -> bool:
        """Whether it can be given work; when it cannot, `close` it and start another."""
        raise NotImplementedError

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
        Raises `LaunchError` when it does not start, `SupervisorLostError` when the supervisor dies.
        """
        raise NotImplementedError

    def renew(self, lease_s: float) -> None:
        """Let the running process go on for `lease_s` seconds from now."""
        raise NotImplementedError

    def end(
        self, reason: EndReason, *, grace_s: float | None = None, first_signal: signal.Signals | None = None
    ) -> None:
        """Have the running process ended: first signal to its group, grace, SIGTERM, SIGKILL to all.

        Returns at once; `run` returns the `Exit`, with `ended` set to the first reason given. Another
        call may shorten the grace. Nothing happens when nothing runs.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """End what runs, and the supervisor process. May be called more than once."""
        raise NotImplementedError
