"""A TOML file with the line of each key, so that what is wrong with a value can be shown where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from qgjob.errors import UsageError

_AT: Final = re.compile(r" \(at line (\d+), column \d+\)\Z")
_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A file that was read."""

    path: Path
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict[str, int])
    """The line of each key of the top level, from 1."""

    def where(self, key: str) -> str:
        """The place of a key: `qgjob.toml line 3`."""
        line = self.lines.get(key)
        return self.path.name if line is None else f"{self.path.name} line {line}"

    def error(self, key: str, problem: str, hint: str | None = None) -> UsageError:
        """A `UsageError` about a key, with its place."""
        return UsageError(f"{self.where(key)}: {problem}", hint=hint or f"The file is {self.path}.")


def read_toml(path: Path) -> TomlFile:
    """Read a file; raises `UsageError` with the line when it is no TOML."""
    import tomllib

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is too large to be a settings file.")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        match = _AT.search(message)
        line = f" line {match.group(1)}" if match else ""
        problem = _AT.sub("", message)
        raise UsageError(
            f"{path.name}{line}: this is no TOML: {problem}.", hint=f"The file is {path}."
        ) from None
    return TomlFile(path, values, {key: _line_of(text, key) for key in values})


def _line_of(text: str, key: str) -> int:
    """Where a key of the top level is set: as `key = …`, `key.part = …`, or `[key]`."""
    name = rf"(?:{re.escape(key)}|\"{re.escape(key)}\"|'{re.escape(key)}')"
    form = re.compile(rf"\s*(?:{name}\s*[.=]|\[\[?\s*{name}\s*[.\]])")
    for number, line in enumerate(text.splitlines(), 1):
        if form.match(line):
            return number
    return 1
