"""Runs a slot's jobs under one supervisor process, kept from job to job and started anew when it dies."""

from __future__ import annotations

from collections.abc import Callable

from agent.launch import EndReason, Exit, LaunchSpec, OutputSink
from agent.supervision.job_supervisor import JobSupervisor


class SlotProcesses:
    """Runs one launch at a time."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._supervisor: JobSupervisor | None = None
        self._running = False

    async def run(
        self, launch: LaunchSpec, on_output: OutputSink, *, lease_s: float, begin: Callable[[], None]
    ) -> Exit:
        """Run a process to its end; see `JobSupervisor.run`.

        `begin` is called when `end` and `renew` have their effect from now on, before anything is started;
        what it raises is raised.
        """
        supervisor = await self._living()
        self._running = True
        try:
            begin()
            return await supervisor.run(launch, on_output, lease_s=lease_s)
        finally:
            self._running = False

    def end(self, reason: EndReason) -> bool:
        """End the running process with its grace; False when none runs."""
        if self._running and self._supervisor is not None:
            self._supervisor.end(reason)
            return True
        return False

    def renew(self, lease_s: float) -> None:
        """Let the running process, if any, go on for `lease_s` seconds from now."""
        if self._running and self._supervisor is not None:
            self._supervisor.renew(lease_s)

    async def close(self) -> None:
        """End what runs, and the supervisor."""
        if self._supervisor is not None:
            await self._supervisor.close()

    async def _living(self) -> JobSupervisor:
        if self._supervisor is not None and not self._supervisor.alive:
            await self._supervisor.close()
            self._supervisor = None
        if self._supervisor is None:
            self._supervisor = await JobSupervisor.start(mark=self._mark)
        return self._supervisor
