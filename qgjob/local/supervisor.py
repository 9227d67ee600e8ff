"""Keeps a set of children running, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qgjob.backoff import Backoff
from qgjob.clock import Clock
from qgjob.local.child import Child, ChildError, ChildSpec, describe_exit, start_child
from qgjob.local.logs import ChildLog

_TRIM_EVERY_S = 10.0

#: Says one thing to whoever watches: one line, or a few.
Announce = Callable[[str], None]


@dataclass(slots=True)
class _Kept:
    spec: ChildSpec
    log: ChildLog
    child: Child | None = None
    keeper: asyncio.Task[None] | None = field(default=None)
    expected_exit: bool = False
    """Whether its end was asked for, and is no news."""


class Supervisor:
    """Starts children stage by stage, restarts what dies, stops the last stage first.

    It lives in one task: create it inside a TaskGroup and hand that over; `stop` must have
    returned before the group ends. Whoever starts children must do so from a thread that lives
    as long as they should (see `qgjob.local.guard`).
    """

    def __init__(self, logs: Path, *, tasks: asyncio.TaskGroup, clock: Clock, announce: Announce) -> None:
        self._logs = logs
        self._tasks = tasks
        self._clock = clock
        self._announce = announce
        self._stages: list[list[_Kept]] = []
        self._hurry = asyncio.Event()
        self._trimmer = tasks.create_task(self._trim_logs())

    async def start(self, *specs: ChildSpec) -> None:
        """Start the next stage, one child after the other, each awaited until it is ready.

        Raises ChildError when one does not start; those already running are left to `stop`.
        """
        stage: list[_Kept] = []
        self._stages.append(stage)
        for spec in specs:
            kept = _Kept(spec, ChildLog(self._logs, spec.name))
            kept.log.begin()
            kept.child = await start_child(spec, kept.log)
            stage.append(kept)
            kept.keeper = self._tasks.create_task(self._keep(kept, kept.child))

    def pids(self) -> dict[str, int]:
        """Return the process id of every child that runs now, by name."""
        return {
            kept.spec.name: kept.child.pid
            for stage in self._stages
            for kept in stage
            if kept.child is not None
        }

    def log(self, name: str) -> ChildLog:
        """The log of a child that was started; raises KeyError when none has that name."""
        return self._named(name).log

    async def start_again(self, name: str) -> None:
        """End a child in order, whereupon it is started again; returns when it has ended."""
        kept = self._named(name)
        if kept.child is not None:
            kept.expected_exit = True
            await kept.child.stop(self._hurry)

    def _named(self, name: str) -> _Kept:
        for stage in self._stages:
            for kept in stage:
                if kept.spec.name == name:
                    return kept
        raise KeyError(name)

    def hurry(self) -> None:
        """Wait for nobody's grace any more: what is being stopped, or will be, is killed."""
        self._hurry.set()

    async def stop(self) -> None:
        """End all children, the stage started last first; returns when none is left."""
        while self._stages:
            stage = self._stages[-1]
            await asyncio.gather(*(self._stop(kept) for kept in stage))
            self._stages.pop()
        self._trimmer.cancel()

    async def _stop(self, kept: _Kept) -> None:
        if kept.keeper is not None:
            kept.keeper.cancel()
            await asyncio.wait({kept.keeper})
        child, kept.child = kept.child, None
        if child is None:
            return
        if not await child.stop(self._hurry) and not self._hurry.is_set():
            self._announce(
                f"{kept.spec.name} did not end within {kept.spec.stop_grace_s:g} s and was killed."
            )

    async def _keep(self, kept: _Kept, child: Child) -> None:
        backoff = Backoff(first_s=0.25, longest_s=15.0)
        while True:
            began = self._clock.monotonic()
            code = await child.exited()
            kept.child = None
            if not kept.expected_exit:
                how = f"{kept.spec.name} (pid {child.pid}) ended unexpectedly {describe_exit(code)}."
                self._announce(f"{how}\n{kept.log.tail()}".rstrip())
            kept.expected_exit = False
            child = await self._start_again(kept, backoff, self._clock.monotonic() - began)

    async def _start_again(self, kept: _Kept, backoff: Backoff, lived_s: float) -> Child:
        while True:
            wait_s = backoff.after(lived_s)
            self._announce(f"{kept.spec.name} is started again in {wait_s:g} s.")
            await asyncio.sleep(wait_s)
            try:
                kept.child = await start_child(kept.spec, kept.log)
            except ChildError as error:
                self._announce(error.message)
                lived_s = 0.0
            else:
                self._announce(f"{kept.spec.name} runs again (pid {kept.child.pid}).")
                return kept.child

    async def _trim_logs(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(_TRIM_EVERY_S)
                for stage in self._stages:
                    for kept in stage:
                        kept.log.trim()
