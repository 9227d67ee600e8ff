"""The viewport of a log: only visible lines are parsed, and the reader's place holds while old lines go.

The end of the log is the last line of the view while it is followed; a step upwards stops that.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from textual import events
from textual.geometry import Region
from textual.strip import Strip

from tui.draw.spans import Line, Span
from tui.store.log import LogBuffer
from tui.store.log_search import AllLines, LogMatches
from tui.widgets.log_lines import Manner, row_of
from tui.widgets.log_rows import LogRows, Place
from tui.widgets.tall import TallCanvas

MAX_ASIDE = 4000
"""How many cells a line may be moved to the left."""
_WHEEL = 3
_SCROLL_BAR = 1
_Row = tuple[int, int, int, int]
_NO_LINE = -1
"""Instead of a line's number: there is none, and the empty text is shown."""


class Marks(NamedTuple):
    """What is marked in the lines."""

    pattern: re.Pattern[str] | None = None
    current: int = -1
    """The number of the line that is marked as a whole; -1: none."""


class LogViewport(TallCanvas):
    """Shows the lines of a `LogBuffer`. A subclass says which of them, what is marked, and the titles.

    Positions are those of `lines`: numbers of lines where all are shown.
    """

    def __init__(self, widget_id: str) -> None:
        super().__init__(widget_id)
        self.buffer = LogBuffer()
        self.following = True
        self.show_times = False
        self.wrap = False
        self.lines_parsed = 0
        """How many lines were parsed so far: what drawing costs, for tests."""
        self._all = AllLines(self.buffer)
        self._top = 0
        self._part = 0
        """The first visible row of the first visible line: a wrapped line may be taller than the screen."""
        self._aside = 0
        self._seen_end = 0
        """The number behind the last line that there was when the end was last in view."""
        self._places: list[Place] = []
        self._rows: list[_Row] | None = None
        """What stands in each row; None: not known, so that all of it is painted."""
        self._scrolls_itself = False

    # --- For subclasses ----------------------------------------------------------------------

    @property
    def lines(self) -> AllLines | LogMatches:
        """The lines that are shown."""
        return self._all

    @property
    def marks(self) -> Marks:
        """What is marked in them."""
        return Marks()

    @property
    def empty_text(self) -> Span:
        """What is shown in the middle when there are no lines."""
        return ("No output.", "dim")

    def before_sync(self) -> None:
        """Bring `lines` up to date with the buffer."""

    def say_titles(self) -> None:
        """Update the titles, after what is in sight may have changed."""

    # --- The place ---------------------------------------------------------------------------

    def show_buffer(self, buffer: LogBuffer) -> None:
        """Show another log, from its end; `sync` draws it."""
        self.buffer = buffer
        self._all = AllLines(buffer)
        self.following = True
        self._top = self._part = self._aside = self._seen_end = 0
        self._rows = None

    @property
    def top(self) -> int:
        """The position of the first visible line."""
        return self._top

    @property
    def new_below(self) -> int:
        """How many lines came since the end was last in view."""
        lines = self.lines
        return 0 if self.following else max(0, lines.end - lines.position(self._seen_end))

    @property
    def number_at_top(self) -> int:
        """The number of the first visible line."""
        lines = self.lines
        return lines.number(self._top) if lines.first <= self._top < lines.end else self.buffer.first

    def numbers_in_sight(self) -> list[int]:
        """The numbers of the visible lines, each once."""
        lines = self.lines
        kept = (position for position, _ in self._places if lines.first <= position < lines.end)
        return list(dict.fromkeys(lines.number(position) for position in kept))

    def stay_at(self, number: int) -> None:
        """Have a line at the top, as far as there are enough lines below it; after `lines` changed."""
        lines = self.lines
        last = self.line_rows.last_page(self.size.height)
        self._top, self._part = max((lines.first, 0), min((lines.position(number), 0), last))
        self._rows = None
        self.sync()

    def sync(self) -> None:
        """Take what came, hold the place, and repaint what differs."""
        height = self.size.height
        if not self.is_attached or not height:
            return
        self.before_sync()
        lines = self.lines
        rows = self.line_rows
        top = rows.last_page(height) if self.following else rows.held((self._top, self._part))
        self._top, self._part = top
        self._places = rows.page(top, height)
        last = self._places[-1][0] if self._places else lines.end
        if last + 1 >= lines.end:
            self._seen_end = self.buffer.end
        self.stretch(lines.end - lines.first)
        # Lines that went at the front take the scroll position with them, not the reader.
        self._scrolls_itself = True
        self.scroll_to(y=self._top - lines.first, animate=False, force=True)
        self._scrolls_itself = False
        self.say_titles()
        self._repaint()

    @property
    def line_rows(self) -> LogRows:
        """The rows of the lines as they are now."""
        return LogRows(self.buffer, self.lines, self.text_width if self.wrap else None)

    @property
    def text_width(self) -> int:
        """How many cells of a line are in sight."""
        return max(1, self.size.width - _SCROLL_BAR - self._manner.head_width)

    @property
    def _manner(self) -> Manner:
        labels = tuple(source.label for source in self.buffer.sources)
        marks = self.marks
        return Manner(
            self.show_times,
            self.wrap,
            self._aside,
            labels if len(labels) > 1 else (),
            marks.pattern,
            marks.current,
        )

    @property
    def _at_end(self) -> bool:
        return (self._top, self._part) >= self.line_rows.last_page(self.size.height)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The scroll bar moved: the reader wants to be there."""
        super().watch_scroll_y(old_value, new_value)
        if not self._scrolls_itself:
            self._top, self._part = self.lines.first + round(new_value), 0
            self.following = self._at_end
            self.sync()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """A few lines up; stops following."""
        event.stop()
        self._go(-_WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """A few lines down."""
        event.stop()
        self._go(_WHEEL)

    def on_resize(self) -> None:
        """More or fewer lines fit."""
        self.sync()

    def on_unmount(self) -> None:
        """Let go of the lines: a closed screen waits for the garbage collector, megabytes should not."""
        self.buffer = LogBuffer()
        self._all = AllLines(self.buffer)

    # --- Actions -----------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Follow the end, or stop."""
        self.following = not self.following
        self.sync()

    def action_times(self) -> None:
        """Show when lines came, or not."""
        self.show_times = not self.show_times
        self._rows = None
        self.sync()

    def action_wrap(self) -> None:
        """Break long lines, or cut them at the edge."""
        self.wrap = not self.wrap
        self._part = 0
        self._rows = None
        self.sync()

    def action_line_up(self) -> None:
        """One line up."""
        self._go(-1)

    def action_line_down(self) -> None:
        """One line down."""
        self._go(1)

    def action_log_page_up(self) -> None:
        """A page up."""
        self._go(1 - self.size.height)

    def action_log_page_down(self) -> None:
        """A page down."""
        self._go(self.size.height - 1)

    def action_log_first(self) -> None:
        """To the oldest line that is kept."""
        self._top, self._part = self.lines.first, 0
        self.following = False
        self.sync()

    def action_log_last(self) -> None:
        """To the end, and follow it."""
        self.following = True
        self.sync()

    def action_aside(self, cells: int) -> None:
        """To the left or to the right."""
        self._aside = max(0, min(MAX_ASIDE, self._aside + cells))
        self._rows = None
        self.sync()

    def _go(self, rows: int) -> None:
        here = (self._top, self._part)
        go = self.line_rows.forward if rows > 0 else self.line_rows.back
        self._top, self._part = go(here, abs(rows))
        # Whoever walks down to the end wants to stay there.
        self.following = rows > 0 and self._at_end
        self.sync()

    # --- Drawing -----------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """Not used: lines have attributes of their own."""
        return []

    def render_line(self, y: int) -> Strip:
        """A line as Textual wants it."""
        width = self.size.width
        lines = self.lines
        if y >= len(self._places) or not lines.first <= self._places[y][0] < lines.end:
            if lines.end == lines.first and y == self.size.height // 2:
                return self.to_strip(_centred(self.empty_text, width), width)
            return Strip.blank(width, self.base)
        self.lines_parsed += 1
        self.lines_painted += 1
        position, part = self._places[y]
        number = lines.number(position)
        line = self.buffer.line(number)
        return row_of(line, number, part, self._manner, width, _SCROLL_BAR, self.base, self.inks)

    def _repaint(self) -> None:
        """Compare what is to be seen with what was, line by line, without parsing any of it."""
        height = self.size.height
        buffer, lines = self.buffer, self.lines
        rows: list[_Row] = []
        for position, part in self._places:
            number = lines.number(position)
            rows.append((number, part, len(buffer.line(number).data), id(buffer)))
        if not rows:
            rows = [(_NO_LINE, 0, hash(self.empty_text), int(buffer.complete))]
        before, self._rows = self._rows, rows
        if before is None or before[0][0] == _NO_LINE or rows[0][0] == _NO_LINE:
            self.refresh()
            return
        for y in range(height):
            old = before[y] if y < len(before) else None
            new = rows[y] if y < len(rows) else None
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))


def _centred(span: Span, width: int) -> Line:
    text, ink = span
    return ((" " * max(0, (width - len(text)) // 2) + text, ink),)
