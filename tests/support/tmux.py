"""A real terminal emulator, tmux, on a server of its own: what is on its screen is read back as text."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


class Tmux:
    """One window with a shell in it."""

    def __init__(self, folder: Path, columns: int = 120, rows: int = 40) -> None:
        self._socket = folder / "tmux"
        self._size = ("-x", str(columns), "-y", str(rows))

    def start(self, env: Mapping[str, str]) -> None:
        """Open the window; the shell says `$ `."""
        surroundings = {name: value for name, value in os.environ.items() if name not in {"TMUX", "NO_COLOR"}}
        command = ("new-session", "-d", *self._size, "env", "PS1=$ ", "sh")
        self._run("-f", "/dev/null", *command, env={**surroundings, **env, "LC_ALL": "C.UTF-8"})

    def type(self, text: str) -> None:
        """Type characters."""
        self._run("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by the names that tmux has for them."""
        self._run("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def screen(self) -> str:
        """What is on the screen, lines that were wrapped in one piece."""
        return self._run("capture-pane", "-p", "-J")

    def close(self) -> None:
        """End the shell and whatever runs in it."""
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], capture_output=True, check=False)

    def _run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), "-u", *arguments],
            env=env,
            capture_output=True,
            encoding="utf-8",
            check=True,
            timeout=30,
        )
        return done.stdout
