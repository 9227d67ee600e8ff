"""Stop signals: SIGTERM or SIGINT drains the slots; a second one, or SIGQUIT, ends running jobs at once."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Final, Self

log = logging.getLogger(__name__)


_STOP: Final = (signal.SIGTERM, signal.SIGINT)


class StopRequests:
    """Handles the signals while it is entered; enter it in the main thread."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self.hurry = asyncio.Event()
        """Set when running jobs are not to be waited for."""

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _STOP:
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGQUIT, self._on_hurry_signal)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_signal_handler(signal.SIGQUIT)

    def _on_stop_signal(self) -> None:
        if self._stop.is_set():
            self._on_hurry_signal()
            return
        log.info("stopping: running jobs are finished; a second signal ends them")
        self._stop.set()

    def _on_hurry_signal(self) -> None:
        log.info("stopping now: running jobs are ended and handed back")
        self.hurry.set()
        self._stop.set()
