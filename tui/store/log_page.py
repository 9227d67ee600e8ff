"""Some lines of a log, packed: a hundred bytes of output must not cost three hundred of objects."""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import compress, decompress

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


class _Lines(NamedTuple):
    """The lines of a page: their texts behind each other, where each ends, and what is said of it."""

    data: bytearray
    ends: array[int]
    ats: array[float]
    flags: bytearray
    sources: bytearray


class LogPage:
    """Up to `LINES` lines. A full page is packed, and unpacked while somebody reads in it."""

    __slots__ = ("_looks", "_open", "bytes", "packed")

    def __init__(self) -> None:
        self._open: _Lines | None = _Lines(bytearray(), array("I"), array("d"), bytearray(), bytearray())
        self.packed = b""
        """A full page, as small as it is kept."""
        self._looks: dict[int, Look] | None = None
        self.bytes = 0
        """The bytes of its lines, unpacked."""

    def __len__(self) -> int:
        return LINES if self._open is None else len(self._open.ends)

    def add(self, line: LogLine) -> None:
        """Take in a line; a full page takes none."""
        lines = self._open
        if lines is None:
            raise IndexError(LINES)
        if line.look is not PLAIN and line.look != PLAIN:
            self._looks = self._looks or {}
            self._looks[len(lines.ends)] = line.look
        self.bytes += len(line.data)
        lines.data.extend(line.data)
        lines.ends.append(self.bytes)
        lines.ats.append(line.at)
        lines.flags.append(_STREAM[line.stream] | (_CONTINUED if line.continued else 0))
        lines.sources.append(line.source)
        if len(lines.ends) == LINES:
            self.packed = _pack(lines)
            self._open = None

    def line(self, row: int) -> LogLine:
        """A line by its row in the page."""
        data, ends, ats, flags, sources = self._lines
        return LogLine(
            bytes(data[ends[row - 1] if row else 0 : ends[row]]),
            STREAMS[flags[row] & 3],
            ats[row],
            self._looks.get(row, PLAIN) if self._looks else PLAIN,
            bool(flags[row] & _CONTINUED),
            sources[row],
        )

    def holds(self, needle: bytes) -> bool:
        """Whether some of its lines may have a text, given in lower case: a quick no saves a search."""
        return needle in self._lines.data.lower()

    @property
    def _lines(self) -> _Lines:
        return _unpack(self.packed) if self._open is None else self._open


def _pack(lines: _Lines) -> bytes:
    # Output repeats itself: at the lowest level already it takes a fourth to a tenth of the room.
    parts = (lines.ends.tobytes(), lines.ats.tobytes(), lines.flags, lines.sources, lines.data)
    return compress(b"".join(parts), 1)


@lru_cache(maxsize=16)
def _unpack(packed: bytes) -> _Lines:
    ends, ats = array("I"), array("d")
    whole = bytearray(decompress(packed))
    at = LINES * ends.itemsize
    ends.frombytes(whole[:at])
    ats.frombytes(whole[at : at + LINES * ats.itemsize])
    at += LINES * ats.itemsize
    return _Lines(
        whole[at + 2 * LINES :], ends, ats, whole[at : at + LINES], whole[at + LINES : at + 2 * LINES]
    )
