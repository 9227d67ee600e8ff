"""The output of one job: a bounded ring of raw lines, of which only visible ones are ever parsed.

Lines have absolute numbers, from 0, which stay when older lines are dropped: a reader's place is
a number and not a distance from either end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tui.draw.ansi import PLAIN, Look, has_escapes, look_after

if TYPE_CHECKING:
    from bus_schemas.requests import StoredChunk

MAX_BYTES: Final = 16 * 2**20
MAX_LINES: Final = 200_000
MAX_LINE_CHARS: Final = 4000
"""A longer line is continued on the next."""
_PAGE: Final = 256
_MARGIN: Final = 64

STREAMS: Final = ("out", "err", "sys")


class LogLine(NamedTuple):
    """A line as it came, and the attributes in force where it begins."""

    data: bytes
    stream: str
    at: float
    look: Look
    continued: bool

    @property
    def text(self) -> str:
        """The line's text, still hostile."""
        return self.data.decode("utf-8", "replace")


class LogBuffer:
    """The lines of a log in the order they came; dropped from the front when there are too many."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_lines: int = MAX_LINES) -> None:
        self._pages: list[list[LogLine]] = []
        self._page_bytes: list[int] = []
        self._first_page = 0
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._partial: dict[str, tuple[str, float, bool]] = {}
        self._looks: dict[str, Look] = {}
        self._attempt = 0
        self.bytes = 0
        """Bytes kept."""
        self.seen_bytes = 0
        self.last_seq = 0
        """The last chunk's place in the log stream."""
        self.left_out = 0
        """Bytes that the agent did not send, the log being over its limit."""
        self.errors = 0
        """Lines that came on stderr."""
        self.eof_of = 0
        """The last attempt whose output is complete."""
        self.complete = False
        """Whether the job has ended and everything is here."""
        self.version = 0
        """Goes up with every change."""

    @property
    def first(self) -> int:
        """The number of the first line that is still here; so many were dropped."""
        return self._first_page * _PAGE

    @property
    def end(self) -> int:
        """The number behind the last line, an unfinished one included."""
        return self._ended + len(self._unfinished())

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def _ended(self) -> int:
        whole = len(self._pages) - 1
        return self.first + whole * _PAGE + len(self._pages[-1]) if self._pages else self.first

    def line(self, number: int) -> LogLine:
        """A line by its number; raises `IndexError` when it is not here."""
        if number < self.first:
            raise IndexError(number)
        over = number - self._ended
        if over >= 0:
            return self._unfinished()[over]
        page, row = divmod(number - self.first, _PAGE)
        return self._pages[page][row]

    def add(self, chunk: StoredChunk) -> None:
        """Take in a chunk; one that came before changes nothing."""
        if chunk.stream_seq <= self.last_seq:
            return
        self.last_seq = chunk.stream_seq
        self.version += 1
        if chunk.attempt != self._attempt:
            self._finish_partial()
            if self._attempt or chunk.attempt > 1:
                self._say(f"── attempt {chunk.attempt} ──", chunk.at)
            self._attempt = chunk.attempt
            self._looks.clear()
        if chunk.dropped:
            self.left_out += chunk.dropped
            self._say(f"… {chunk.dropped:,} bytes of output were left out here", chunk.at)
        for stream, text in chunk.parts:
            self._write(stream, text, chunk.at)
        if chunk.eof:
            self._finish_partial()
            self.eof_of = max(self.eof_of, chunk.attempt)
        self._trim()

    def close(self) -> None:
        """The job has ended, and nothing more will come."""
        self._finish_partial()
        self.complete = True
        self.version += 1

    def _write(self, stream: str, text: str, at: float) -> None:
        self.seen_bytes += len(text)
        pending, began, continued = self._partial.pop(stream, ("", at, False))
        *lines, rest = (pending + text).split("\n")
        for line in lines:
            for piece in _pieces(line.rstrip("\r")):
                self._append(stream, piece, began, continued=continued)
                continued = True
            began, continued = at, False
        *pieces, rest = _pieces(rest)
        for piece in pieces:
            self._append(stream, piece, began, continued=continued)
            continued = True
        if rest:
            self._partial[stream] = (rest, began, continued)

    def _append(self, stream: str, text: str, at: float, *, continued: bool) -> None:
        look = self._looks.get(stream, PLAIN)
        if has_escapes(text):
            after = look_after(text, look)
            if after != look:
                self._looks[stream] = after
        data = text.encode("utf-8", "replace")
        if not self._pages or len(self._pages[-1]) == _PAGE:
            self._pages.append([])
            self._page_bytes.append(0)
        self._pages[-1].append(LogLine(data, stream, at, look, continued))
        self._page_bytes[-1] += len(data)
        self.bytes += len(data)
        self.errors += stream == "err"

    def _say(self, text: str, at: float) -> None:
        self._append("sys", text, at, continued=False)

    def _finish_partial(self) -> None:
        for stream, (text, at, continued) in list(self._partial.items()):
            self._append(stream, text.rstrip("\r"), at, continued=continued)
        self._partial.clear()

    def _unfinished(self) -> list[LogLine]:
        return [
            LogLine(text.encode("utf-8", "replace"), stream, at, self._looks.get(stream, PLAIN), continued)
            for stream, (text, at, continued) in self._partial.items()
        ]

    def _trim(self) -> None:
        while len(self._pages) > 1 and (
            self.bytes > self._max_bytes or (len(self._pages) - 1) * _PAGE >= self._max_lines
        ):
            del self._pages[0]
            self.bytes -= self._page_bytes.pop(0)
            self._first_page += 1


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
