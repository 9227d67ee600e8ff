"""The terminal that the dashboard runs in, where Textual's own driver leaves something to wish for.

A terminal may go without a word: its window is killed, and no SIGHUP comes because it was nobody's
controlling terminal. Then nothing can be read or written any more, and the dashboard ends. And Escape
followed by another key is two keys, not Alt with that key, which nothing here is bound to.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterable
from typing import IO, Any, cast

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

_LOOK_S = 0.1
_CHUNK = 4096


class KeyParser(XTermParser):
    """Understands what a terminal sends."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        # Terminals say Alt with a key as Escape and the key: which it was, only time could tell, and on a
        # machine with much to do it tells nothing.
        if alt:
            yield events.Key("escape", "\x1b")
        yield from super()._sequence_to_key_events(sequence)


class TerminalDriver(LinuxDriver):
    """Reads keys, and writes what is drawn."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # Textual draws on stderr, which may lead into a file, `qgjob tui 2>trouble.log`, or be closed.
        stderr = sys.__stderr__
        screen = stderr if stderr is not None and stderr.isatty() else sys.__stdout__ or self._file
        self._file = cast("IO[str]", _Patient(screen))

    def run_input_thread(self) -> None:
        """Read keys until the driver is told to stop, or there is nothing to read from any more."""
        parser = KeyParser()
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                ready = selector.select(_LOOK_S)
                # An Escape that has waited long enough for more is one, whatever came just now.
                for event in parser.tick():
                    self.process_message(event)
                if not ready:
                    continue
                data = self._read()
                if not data:
                    self._app.call_later(self._app.exit)
                    return
                for event in parser.feed(decode(data)):
                    self.process_message(event)

    def _read(self) -> bytes:
        with contextlib.suppress(OSError):
            return os.read(self.fileno, _CHUNK)
        return b""


class _Patient:
    """A file that goes on when its terminal is gone: whoever writes would wait for ever otherwise."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write it if that is possible."""
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Let it be seen."""
        with contextlib.suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        """The terminal's file number."""
        return self._file.fileno()
