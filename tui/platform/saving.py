"""Where what is saved goes: a new file of this machine, or the downloads of the browser that looks on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from textual.app import App


@contextlib.contextmanager
def new_file(app: App[Any], path: Path) -> Generator[TextIO]:
    """A text file to be written; raises `OSError`, and `FileExistsError` for one that is there.

    From a page nothing is written to this machine's folders: of the path only the name counts.
    """
    if not app.is_web:
        with path.open("x", encoding="utf-8", errors="replace", newline="") as file:
            yield file
        return
    import tempfile

    file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace", newline="")  # noqa: SIM115
    try:
        yield file
        file.flush()
    except BaseException:
        file.close()
        raise
    app.deliver_text(file, save_filename=path.name)  # which closes it when the browser has it


def dated(name: str, suffix: str, now: float) -> Path:
    """A name for a file that is saved `now`, in seconds since 1970: `name-20260131-120000.suffix`."""
    return Path(f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}.{suffix}")


def saved_at(app: App[Any], path: Path) -> str:
    """Where the user finds it."""
    return f"the downloads, as {path.name}" if app.is_web else str(path)
