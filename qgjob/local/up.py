"""`qgjob up`: the local system in the foreground until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

from qgjob.local.system import LocalSystem, Services, UpOptions, default_services

__all__ = ["UpOptions", "run_up"]


async def run_up(
    options: UpOptions,
    *,
    announce: Callable[[str], None],
    services: Services = default_services,
) -> int:
    """Run the system until SIGINT, SIGTERM or SIGHUP, then stop it in order; return the exit code.

    A second signal kills what is still being waited for. Raises what entering a LocalSystem
    raises. Call it in the main thread, as the body of `asyncio.run`.
    """

    def say(text: str) -> None:
        # A terminal that was closed must not keep us from stopping in order.
        with contextlib.suppress(OSError):
            announce(text)

    system = LocalSystem(options, announce=say, services=services, publish=True)
    signals = _Signals(system, say)
    try:
        with signals:
            async with system:
                slots = options.slots * options.agents
                say(f"qgjob is up at {system.server} with {slots} slots ({', '.join(options.labels)}).")
                say(f"Data and logs are in {system.folder.path}. Ctrl-C stops everything.")
                await system.failed()
    except asyncio.CancelledError:
        if not signals.received:
            raise
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
    say("qgjob has stopped.")
    return 0


class _Signals:
    """While entered: the first signal cancels the task that entered, the second hurries."""

    def __init__(self, system: LocalSystem, announce: Callable[[str], None]) -> None:
        self.received = False
        self._system = system
        self._announce = announce
        self._task: asyncio.Task[object] | None = None
        self._numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored means started with nohup
            self._numbers.append(signal.SIGHUP)

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            loop.add_signal_handler(number, self._on_signal)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self.received:
            self._system.hurry()
            return
        self.received = True
        if self._task is not None:
            self._task.cancel()
        self._announce("Stopping; running jobs are finished or handed back. Ctrl-C again stops at once.")
