"""Some lines of a log, packed: a hundred bytes of output must not cost three hundred of objects."""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

from tui.draw.ansi import PLAIN, Look

LINES: Final = 256
STREAMS: Final = ("out", "err", "sys")
_STREAM: Final = {name: number for number, name in enumerate(STREAMS)}
_CONTINUED: Final = 4


class LogLine(NamedTuple):
    """A line as it came, and the attributes in force where it begins."""

    data: bytes
    stream: str
    at: float
    look: Look
    continued: bool
    source: int = 0
    """Whose line it is, where several logs are read as one."""

    @property
    def text(self) -> str:
        """The line's text, still hostile."""
        return self.data.decode("utf-8", "replace")


class LogPage:
    """Up to `LINES` lines."""

    __slots__ = ("_ats", "_data", "_ends", "_flags", "_looks", "_sources")

    def __init__(self) -> None:
        self._data = bytearray()
        self._ends = array("I")
        self._ats = array("d")
        self._flags = bytearray()
        self._sources = bytearray()
        self._looks: dict[int, Look] | None = None

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def bytes(self) -> int:
        """The bytes of its lines."""
        return len(self._data)

    def add(self, line: LogLine) -> None:
        """Take in a line."""
        if line.look is not PLAIN and line.look != PLAIN:
            self._looks = self._looks or {}
            self._looks[len(self._ends)] = line.look
        self._data += line.data
        self._ends.append(len(self._data))
        self._ats.append(line.at)
        self._flags.append(_STREAM[line.stream] | (_CONTINUED if line.continued else 0))
        self._sources.append(line.source)

    def line(self, row: int) -> LogLine:
        """A line by its row in the page."""
        flags = self._flags[row]
        return LogLine(
            bytes(self._data[self._ends[row - 1] if row else 0 : self._ends[row]]),
            STREAMS[flags & 3],
            self._ats[row],
            self._looks.get(row, PLAIN) if self._looks else PLAIN,
            bool(flags & _CONTINUED),
            self._sources[row],
        )

    def holds(self, needle: bytes) -> bool:
        """Whether some of its lines may have a text, given in lower case: a quick no saves a search."""
        return needle in self._data.lower()
