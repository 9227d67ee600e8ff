"""A program in a real terminal: a pty of a given size, what was written to it, and how it was left."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path

_ESCAPE = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_=>]|\x1b[()][A-Z0-9]"
)


class Terminal:
    """Runs a program; `raw` is everything it wrote, `text` the same without escape sequences."""

    def __init__(self, columns: int = 120, rows: int = 40) -> None:
        self._size = (columns, rows)
        self._master = -1
        self._slave = -1
        self._before: object = None
        self._process: subprocess.Popen[bytes] | None = None
        self.raw = b""

    def start(self, argv: Sequence[str], *, cwd: Path, env: dict[str, str] | None = None) -> None:
        """Start the program as the terminal's own."""
        self._master, self._slave = os.openpty()
        columns, rows = self._size
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._before = termios.tcgetattr(self._slave)
        surroundings = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})}
        surroundings.pop("NO_COLOR", None)
        self._process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=surroundings,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
        )
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    @property
    def pid(self) -> int:
        """The program's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def text(self) -> str:
        """What was written, without escape sequences, not as it lies on the screen."""
        return _ESCAPE.sub(b"", self.raw).decode("utf-8", "replace")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        os.kill(self.pid, number)

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was: its modes, the main screen, the cursor, the mouse."""
        modes = termios.tcgetattr(self._slave) == self._before
        screen = self.raw.rfind(b"\x1b[?1049l") > self.raw.rfind(b"\x1b[?1049h")
        cursor = self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l")
        mouse = self.raw.rfind(b"\x1b[?1000l") > self.raw.rfind(b"\x1b[?1000h")
        return modes and screen and cursor and mouse

    def vanish(self) -> None:
        """Let the terminal go, as when its window is killed; the program gets no signal."""
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """End the program if it runs, and close."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._master >= 0:
            self.vanish()
        if self._slave >= 0:
            os.close(self._slave)

    def _read(self) -> None:
        try:
            self.raw += os.read(self._master, 65_536)
        except (BlockingIOError, OSError):
            return
