"""Cleans and cuts the texts of reports for display: tests may write anything into them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAX_NAME = 1024
MAX_MESSAGE = 4096
"""Characters, for names and messages."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)
# What no terminal, page or XML document should be given: controls, and marks that turn text around.
_UNSEEMLY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def printable(text: str, limit: int) -> str:
    """`text` without escape sequences and control characters (but tabs and line feeds), cut to `limit`."""
    head = text[: 2 * limit + 4096]  # escapes take room that does not count
    return _UNSEEMLY.sub("", _ESCAPES.sub("", head.replace("\r\n", "\n")))[:limit]


def name_of(value: Any) -> str:
    """A name on one line; empty when it is no text."""
    return " ".join(printable(value, MAX_NAME).split()) if isinstance(value, str) else ""


def message_of(value: Any) -> str | None:
    """A message of several lines; None when there is none."""
    return (printable(value, MAX_MESSAGE).strip() or None) if isinstance(value, str) else None


def seconds_of(value: Any, *, scale: float = 1.0) -> float:
    """A duration; 0 for what is none. Some tools write thousands separators, some write nothing."""
    try:
        seconds = float(value.replace(",", "") if isinstance(value, str) else value) * scale
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return seconds if math.isfinite(seconds) and 0 <= seconds < 1e9 else 0.0


def line_of(value: Any) -> int | None:
    """A line number; None for what is none."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < 10_000_000 else None


def file_of(value: Any, root: Path | None) -> str | None:
    """A file's name, relative to `root` when it lies in it."""
    name = name_of(value)
    if not name:
        return None
    if root is not None and name.startswith("/"):
        for base in _names_of(root):
            if name.startswith(base + "/"):
                return name[len(base) + 1 :]
    return name


def _names_of(root: Path) -> list[str]:
    """A folder as it is called and as it really is.

    The longest first: the other one may be its end (`/var` is `/private/var` on a Mac).
    """
    return sorted({str(root), str(root.resolve())}, key=len, reverse=True)


def folders_of(root: Path) -> Sequence[str]:
    """How texts may begin the name of a file below `root`, for `within`; asks the file system, once."""
    names = _names_of(root)
    return [f"{scheme}{name}/" for scheme in ("file://", "") for name in names]


def within(text: str, folders: Sequence[str]) -> str:
    """`text` with the files below a root, whose `folders_of` these are, named relative to it.

    Where the working copy was says nothing to a reader, and is another place in every attempt.
    """
    for folder in folders:
        text = text.replace(folder, "")
    return text
