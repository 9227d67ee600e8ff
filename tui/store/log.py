"""The output of one job: a bounded ring of raw lines, of which only visible ones are ever parsed.

Lines have absolute numbers, from 0, which stay when older lines are dropped: a reader's place is
a number and not a distance from either end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tui.draw.ansi import PLAIN, Look, has_escapes, look_after
from tui.store.log_page import LINES, LogLine, LogPage

if TYPE_CHECKING:
    from bus_schemas.logs import StoredChunk

MAX_BYTES: Final = 16 * 2**20
MAX_LINES: Final = 200_000
MAX_LINE_CHARS: Final = 4000
"""A longer line is continued on the next."""
_MARGIN: Final = 64


@dataclass(slots=True)
class Source:
    """One job whose output is in the buffer."""

    label: str = ""
    last_seq: int = 0
    """The last chunk's place in the log stream."""
    eof_of: int = 0
    """The last attempt whose output is complete."""
    attempt: int = 0
    partial: dict[str, tuple[str, float, bool]] = field(default_factory=dict[str, tuple[str, float, bool]])
    looks: dict[str, Look] = field(default_factory=dict[str, Look])


class LogBuffer:
    """The lines of a log in the order they came; dropped from the front when there are too many."""

    def __init__(
        self, max_bytes: int = MAX_BYTES, max_lines: int = MAX_LINES, *, labels: Sequence[str] = ("",)
    ) -> None:
        self._pages: list[LogPage] = []
        self._first_page = 0
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self.sources = [Source(label) for label in labels]
        """The jobs whose output it takes; mostly one."""
        self.bytes = 0
        """Bytes kept."""
        self.seen_bytes = 0
        self.left_out = 0
        """Bytes that the agent did not send, the log being over its limit."""
        self.errors = 0
        """Lines that came on stderr."""
        self.complete = False
        """Whether the job has ended and everything is here."""
        self.version = 0
        """Goes up with every change."""

    @property
    def first(self) -> int:
        """The number of the first line that is still here; so many were dropped."""
        return self._first_page * LINES

    @property
    def end(self) -> int:
        """The number behind the last line, an unfinished one included."""
        return self._ended + len(self._unfinished())

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def _ended(self) -> int:
        whole = len(self._pages) - 1
        return self.first + whole * LINES + len(self._pages[-1]) if self._pages else self.first

    def line(self, number: int) -> LogLine:
        """A line by its number; raises `IndexError` when it is not here."""
        if number < self.first:
            raise IndexError(number)
        over = number - self._ended
        if over >= 0:
            return self._unfinished()[over]
        page, row = divmod(number - self.first, LINES)
        return self._pages[page].line(row)

    def page_from(self, number: int) -> tuple[LogPage | None, int]:
        """The page that a line is in, and the number behind its last line; None: not packed yet."""
        if number < self.first or number >= self._ended:
            return None, self.end
        page = (number - self.first) // LINES
        return self._pages[page], self.first + page * LINES + len(self._pages[page])

    def add(self, chunk: StoredChunk, source: int = 0) -> None:
        """Take in a chunk; one that came before changes nothing."""
        of = self.sources[source]
        if chunk.stream_seq <= of.last_seq:
            return
        of.last_seq = chunk.stream_seq
        self.version += 1
        if chunk.attempt != of.attempt:
            self._finish_partial(source)
            if (of.attempt or chunk.attempt > 1) and not _says_so(chunk):
                self._say(f"── attempt {chunk.attempt} ──", chunk.at, source)
            of.attempt = chunk.attempt
            of.looks.clear()
        if chunk.dropped:
            self.left_out += chunk.dropped
            self._say(f"… {chunk.dropped:,} bytes of output were left out here", chunk.at, source)
        for stream, text in chunk.parts:
            self._write(stream, text, chunk.at, source)
        if chunk.eof:
            self._finish_partial(source)
            of.eof_of = max(of.eof_of, chunk.attempt)
        self._trim()

    def close(self) -> None:
        """The jobs have ended, and nothing more will come."""
        for source in range(len(self.sources)):
            self._finish_partial(source)
        self.complete = True
        self.version += 1

    def _write(self, stream: str, text: str, at: float, source: int) -> None:
        self.seen_bytes += len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
        partial = self.sources[source].partial
        pending, began, continued = partial.pop(stream, ("", at, False))
        *lines, rest = (pending + text).split("\n")
        for line in lines:
            for piece in _pieces(line.rstrip("\r")):
                self._append(stream, piece, began, source, continued=continued)
                continued = True
            began, continued = at, False
        *pieces, rest = _pieces(rest)
        for piece in pieces:
            self._append(stream, piece, began, source, continued=continued)
            continued = True
        if rest:
            partial[stream] = (rest, began, continued)

    def _append(self, stream: str, text: str, at: float, source: int, *, continued: bool) -> None:
        looks = self.sources[source].looks
        look = looks.get(stream, PLAIN)
        if has_escapes(text):
            after = look_after(text, look)
            if after != look:
                looks[stream] = after
        data = text.encode("utf-8", "replace")
        if not self._pages or len(self._pages[-1]) == LINES:
            self._pages.append(LogPage())
        self._pages[-1].add(LogLine(data, stream, at, look, continued, source))
        self.bytes += len(data)
        self.errors += stream == "err"

    def _say(self, text: str, at: float, source: int) -> None:
        self._append("sys", text, at, source, continued=False)

    def _finish_partial(self, source: int) -> None:
        partial = self.sources[source].partial
        for stream, (text, at, continued) in list(partial.items()):
            self._append(stream, text.rstrip("\r"), at, source, continued=continued)
        partial.clear()

    def _unfinished(self) -> list[LogLine]:
        return [
            LogLine(
                text.encode("utf-8", "replace"), stream, at, of.looks.get(stream, PLAIN), continued, number
            )
            for number, of in enumerate(self.sources)
            for stream, (text, at, continued) in of.partial.items()
        ]

    def _trim(self) -> None:
        while len(self._pages) > 1 and (
            self.bytes > self._max_bytes or (len(self._pages) - 1) * LINES >= self._max_lines
        ):
            self.bytes -= self._pages.pop(0).bytes
            self._first_page += 1


def _says_so(chunk: StoredChunk) -> bool:
    """Whether the agent itself says that another attempt begins."""
    return any(stream == "sys" and text.startswith("--- attempt ") for stream, text in chunk.parts[:1])


def _pieces(line: str) -> list[str]:
    """A line, cut where it is too long: not inside an escape sequence, if one can tell."""
    if len(line) <= MAX_LINE_CHARS:
        return [line]
    # A progress bar: what it went back over would be gone on a terminal too.
    at = line.rfind("\r", 0, len(line) - 1) + 1
    pieces: list[str] = []
    while len(line) - at > MAX_LINE_CHARS:
        escape = line.rfind("\x1b", at + MAX_LINE_CHARS - _MARGIN, at + MAX_LINE_CHARS)
        stop = escape if escape > at else at + MAX_LINE_CHARS
        pieces.append(line[at:stop])
        at = stop
    return [*pieces, line[at:]]
