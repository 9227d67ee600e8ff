"""Which lines of a log match what is looked for, found a part at a time."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from tui.draw.ansi import has_escapes, plain
from tui.draw.clean import clean
from tui.store.log import LogBuffer
from tui.store.log_page import LogLine, LogPage

STEP_LINES = 8192


class SearchError(ValueError):
    """What was typed is no regular expression; the text says why."""


def compile_search(text: str) -> re.Pattern[str]:
    """What to look for: a text whatever its case, or a `/regular expression/`. Raises `SearchError`."""
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        try:
            return re.compile(text[1:-1])
        except re.error as error:
            raise SearchError(f"no regular expression: {error}") from None
    return re.compile(re.escape(text), re.IGNORECASE)


def shown_text(line: LogLine) -> str:
    """A line as it is read on the screen, without attributes."""
    text = line.text
    return plain(text) if has_escapes(text) or "\t" in text or "\r" in text else clean(text, "")


class LogMatches:
    """The numbers of the matching lines; a sequence of lines of its own when only those are shown."""

    def __init__(self, buffer: LogBuffer, text: str) -> None:
        self.text = text
        self.pattern = compile_search(text)
        self._buffer = buffer
        quick = text.casefold()
        self._needle = quick.encode() if quick.isascii() and not text.startswith("/") else None
        self._numbers: list[int] = []
        self._gone = 0
        self._next = buffer.first

    @property
    def first(self) -> int:
        """The position of the first match that is still here."""
        return self._gone

    @property
    def end(self) -> int:
        """The position behind the last one."""
        return self._gone + len(self._numbers)

    def number(self, position: int) -> int:
        """The line's number of a position."""
        return self._numbers[position - self._gone]

    def position(self, number: int) -> int:
        """The position of the first match from a line on."""
        return self._gone + bisect_left(self._numbers, number)

    @property
    def complete(self) -> bool:
        """Whether every line was looked at."""
        return self._next >= self._ended

    @property
    def _ended(self) -> int:
        """Lines that are still being written do not count yet."""
        return self._buffer.end - sum(len(source.partial) for source in self._buffer.sources)

    def step(self, budget: int = STEP_LINES) -> bool:
        """Look at some more lines, and forget those that were dropped; returns whether more are left."""
        buffer = self._buffer
        gone = bisect_left(self._numbers, buffer.first)
        if gone:
            del self._numbers[:gone]
            self._gone += gone
        number = max(self._next, buffer.first)
        stop = min(self._ended, number + budget)
        search = self.pattern.search
        while number < stop:
            page, behind = buffer.page_from(number)
            behind = min(behind, stop)
            if page is None or self._needle is None or page.holds(self._needle) or _has_marks(page):
                for at in range(number, behind):
                    if search(shown_text(buffer.line(at))):
                        self._numbers.append(at)
            number = behind
        self._next = number
        return not self.complete

    def after(self, number: int) -> int | None:
        """The next matching line behind a line, or None."""
        at = bisect_right(self._numbers, number)
        return self._numbers[at] if at < len(self._numbers) else None

    def before(self, number: int) -> int | None:
        """The matching line before a line, or None."""
        at = bisect_left(self._numbers, number)
        return self._numbers[at - 1] if at else None


def _has_marks(page: LogPage) -> bool:
    # An escape sequence inside a word hides the word from the quick look.
    return page.holds(b"\x1b")


class AllLines:
    """Every line of a buffer: positions are numbers."""

    def __init__(self, buffer: LogBuffer) -> None:
        self._buffer = buffer

    @property
    def first(self) -> int:
        """The position of the first line."""
        return self._buffer.first

    @property
    def end(self) -> int:
        """The position behind the last one."""
        return self._buffer.end

    def number(self, position: int) -> int:
        """The line's number of a position."""
        return position

    def position(self, number: int) -> int:
        """The position of a line."""
        return number
