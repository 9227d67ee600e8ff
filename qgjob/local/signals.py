"""Stop signals: the first asks for an orderly stop, the second hurries it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from qgjob.local.system import LocalSystem


class StopSignals:
    """While entered, the first SIGINT, SIGTERM or SIGHUP cancels the task that entered.

    The next one kills what `system` is still waiting for. Use it in the main thread.
    """

    def __init__(self, system: LocalSystem, announce: Callable[[str], None], text: str) -> None:
        self.received = False
        self._system = system
        self._announce = announce
        self._text = text
        self._task: asyncio.Task[object] | None = None
        self._numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored means started with nohup
            self._numbers.append(signal.SIGHUP)

    def __enter__(self) -> None:
        """Take the signals over."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            loop.add_signal_handler(number, self._on_signal)

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            loop.remove_signal_handler(number)

    def own_cancel(self) -> None:
        """Call it in `except CancelledError`: goes on if a signal was the reason, else raises it again."""
        if not self.received:
            raise  # noqa: PLE0704  (the error that is being handled)
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()

    def _on_signal(self) -> None:
        if self.received:
            self._system.hurry()
            return
        self.received = True
        if self._task is not None:
            self._task.cancel()
        self._announce(self._text)
