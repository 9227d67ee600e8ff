"""A job's log: only visible lines are parsed, and the reader's place holds while old lines go.

The end of the log is the last line of the view while it is followed; a step upwards stops that.
Where only matching lines are shown, positions count those; otherwise a position is a line's number.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.strip import Strip

from tui.actions.bindings import bindings
from tui.draw.spans import Line
from tui.draw.times import count, size
from tui.store.log import LogBuffer
from tui.store.log_search import AllLines, LogMatches, shown_text
from tui.toasts import reply
from tui.widgets.log_lines import Manner, breaks_of, found_at, row_of
from tui.widgets.log_rows import LogRows, Place
from tui.widgets.tall import TallCanvas

_MAX_ASIDE = 4000
_WHEEL = 3
SCROLL_BAR = 1
_Row = tuple[int, int, int, int]
_LOOK_FIRST = "Nothing is looked for yet: / begins."
_NOTHING = -1
"""Instead of a line's number: there is none, which is said in the middle."""


class LogView(TallCanvas):
    """Shows a `LogBuffer`."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("log")

    def __init__(self, widget_id: str) -> None:
        super().__init__(widget_id)
        self.buffer = LogBuffer()
        self.following = True
        self.show_times = False
        self.wrap = False
        self.only = False
        """Show only the lines that match what is looked for."""
        self.matches: LogMatches | None = None
        self.problem = ""
        """Why there is no log, or no more of it."""
        self.waits = False
        """Whether nothing has begun that could write anything."""
        self._all = AllLines(self.buffer)
        self._top = 0
        self._part = 0
        """The first visible row of the first visible line: a wrapped line may be taller than the screen."""
        self._aside = 0
        self._seen_end = 0
        """The number behind the last line that there was when the end was last in view."""
        self._current = -1
        self._places: list[Place] = []
        self._rows: list[_Row] | None = None
        """What stands in each row; None: not known, so that all of it is painted."""
        self._ours = False
        self.lines_parsed = 0
        """How many lines were parsed so far: what drawing costs, for tests."""

    def show(self, buffer: LogBuffer) -> None:
        """Show another log, from its end; what is looked for stays."""
        self.buffer = buffer
        self._all = AllLines(buffer)
        self.following = True
        self.problem = ""
        self._top = self._part = self._aside = self._seen_end = 0
        self._current = -1
        self._rows = None
        text = self.matches.text if self.matches else ""
        self.matches = LogMatches(buffer, text) if text else None
        self.sync()
        self.refresh()

    @property
    def top(self) -> int:
        """The number of the first visible line."""
        return self._top

    @property
    def new_below(self) -> int:
        """How many lines came since the end was last in view."""
        lines = self._lines
        return 0 if self.following else max(0, lines.end - lines.position(self._seen_end))

    @property
    def _lines(self) -> AllLines | LogMatches:
        return self.matches if self.only and self.matches is not None else self._all

    # --- Looking for something ---------------------------------------------------------------

    def find(self, text: str) -> None:
        """Look for a text from now on, or for nothing; raises `SearchError` for a wrong expression."""
        number = self._number_at_top()
        if self.matches is None or self.matches.text != text:
            self.matches = LogMatches(self.buffer, text) if text else None
        self.only = self.only and bool(text)
        self._current = -1
        if self.matches is not None:
            self.matches.step()
            if not self.matches.complete:
                self.run_worker(self._search(self.matches), group="search", exclusive=True)
        self._stay_at(number)

    async def _search(self, matches: LogMatches) -> None:
        more = True
        while more and matches is self.matches:
            await asyncio.sleep(0)  # keys come first
            more = matches.step()
        self.sync()

    def action_next_match(self) -> None:
        """To the next line in which it was found."""
        self._go_to_match(forward=True)

    def action_previous_match(self) -> None:
        """To the one before."""
        self._go_to_match(forward=False)

    def action_only(self) -> None:
        """Show only what matches, or all of it with what was found marked."""
        if self.matches is None:
            reply(self, _LOOK_FIRST)
            return
        number = self._current if self._current >= 0 else self._number_at_top()
        self.only = not self.only
        self._stay_at(number)

    def action_copy_lines(self) -> None:
        """Copy the line with what was found, if it is in sight, or else all that are."""
        lines = self._lines
        kept = (position for position, _ in self._places if lines.first <= position < lines.end)
        seen = dict.fromkeys(lines.number(position) for position in kept)
        numbers = [self._current] if self._current in seen else list(seen)
        if not numbers:
            reply(self, "There is no line to copy.")
            return
        self.app.copy_to_clipboard("\n".join(shown_text(self.buffer.line(number)) for number in numbers))
        reply(self, "Copied 1 line." if len(numbers) == 1 else f"Copied {count(len(numbers))} lines.")

    def _go_to_match(self, *, forward: bool) -> None:
        if self.matches is None:
            reply(self, _LOOK_FIRST)
            return
        here = self._current
        if here < 0:
            top = self._number_at_top()
            here = top - 1 if forward else top + self.size.height
        found = self.matches.after(here) if forward else None
        if found is None:
            # The search begins at the top: the last line so far that has it need not be the last.
            self.matches.step(len(self.buffer))
            found = self.matches.after(here) if forward else self.matches.before(here)
        if found is None:
            where = "further down" if forward else "further up"
            reply(self, f"No line {where} has {self.matches.text!r}.")
            return
        self._current = found
        self.following = False
        self._bring_into_view(found)
        self._rows = None
        self.sync()

    def _bring_into_view(self, number: int) -> None:
        """Let what was found in a line be seen, however long the line is."""
        cells = found_at(self.buffer.line(number), self.matches.pattern) if self.matches else None
        begin, end = cells or (0, 0)
        room = self._text_width
        part = 0
        if self.wrap:
            part = max(0, bisect_right(breaks_of(self.buffer.line(number), room), begin) - 1)
        elif end > self._aside + room - 1 or begin < self._aside:
            self._aside = 0 if end < room else min(_MAX_ASIDE, begin - room // 3)
        place = (self._lines.position(number), part)
        if place not in self._places:
            self._top, self._part = self._line_rows.back(place, self.size.height // 3)

    def _number_at_top(self) -> int:
        lines = self._lines
        return lines.number(self._top) if lines.first <= self._top < lines.end else self.buffer.first

    def _stay_at(self, number: int) -> None:
        lines = self._lines
        last = self._line_rows.last_page(self.size.height)
        self._top, self._part = max((lines.first, 0), min((lines.position(number), 0), last))
        self._rows = None
        self.sync()

    # --- Following ---------------------------------------------------------------------------

    def sync(self) -> None:
        """Take what came, hold the place, and repaint what differs."""
        height = self.size.height
        if not self.is_attached or not height:
            return
        if self.matches is not None:
            self.matches.step()
        lines = self._lines
        rows = self._line_rows
        top = rows.last_page(height) if self.following else rows.held((self._top, self._part))
        self._top, self._part = top
        self._places = rows.page(top, height)
        last = self._places[-1][0] if self._places else lines.end
        if last + 1 >= lines.end:
            self._seen_end = self.buffer.end
        self.stretch(lines.end - lines.first)
        # Lines that went at the front take the scroll position with them, not the reader.
        self._ours = True
        self.scroll_to(y=self._top - lines.first, animate=False, force=True)
        self._ours = False
        self._say()
        self._repaint()

    @property
    def _line_rows(self) -> LogRows:
        return LogRows(self.buffer, self._lines, self._text_width if self.wrap else None)

    @property
    def _text_width(self) -> int:
        return max(1, self.size.width - SCROLL_BAR - self._manner.head_width)

    @property
    def _manner(self) -> Manner:
        labels = tuple(source.label for source in self.buffer.sources)
        return Manner(
            self.show_times,
            self.wrap,
            self._aside,
            labels if len(labels) > 1 else (),
            self.matches.pattern if self.matches is not None else None,
            self._current,
        )

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The scroll bar moved: the reader wants to be there."""
        super().watch_scroll_y(old_value, new_value)
        if not self._ours:
            self._top, self._part = self._lines.first + round(new_value), 0
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
        self.matches = None

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
        self._top, self._part = self._lines.first, 0
        self.following = False
        self.sync()

    def action_log_last(self) -> None:
        """To the end, and follow it."""
        self.following = True
        self.sync()

    def action_aside(self, cells: int) -> None:
        """To the left or to the right."""
        self._aside = max(0, min(_MAX_ASIDE, self._aside + cells))
        self._rows = None
        self.sync()

    def _go(self, rows: int) -> None:
        here = (self._top, self._part)
        go = self._line_rows.forward if rows > 0 else self._line_rows.back
        self._top, self._part = go(here, abs(rows))
        # Whoever walks down to the end wants to stay there.
        self.following = rows > 0 and self._at_end
        self.sync()

    @property
    def _at_end(self) -> bool:
        return (self._top, self._part) >= self._line_rows.last_page(self.size.height)

    # --- Drawing -----------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """Not used: lines have attributes of their own."""
        return []

    def render_line(self, y: int) -> Strip:
        """A line as Textual wants it."""
        width = self.size.width
        lines = self._lines
        if y >= len(self._places) or not lines.first <= self._places[y][0] < lines.end:
            if lines.end == lines.first and y == self.size.height // 2:
                return self.to_strip(self._nothing(width), width)
            return Strip.blank(width, self.base)
        self.lines_parsed += 1
        self.lines_painted += 1
        position, part = self._places[y]
        number = lines.number(position)
        line = self.buffer.line(number)
        return row_of(line, number, part, self._manner, width, SCROLL_BAR, self.base, self.inks)

    def _repaint(self) -> None:
        """Compare what is to be seen with what was, line by line, without parsing any of it."""
        height = self.size.height
        buffer, lines = self.buffer, self._lines
        rows: list[_Row] = []
        for position, part in self._places:
            number = lines.number(position)
            rows.append((number, part, len(buffer.line(number).data), id(buffer)))
        if not rows:
            rows = [(_NOTHING, 0, hash((self.problem, self.waits)), int(buffer.complete))]
        before, self._rows = self._rows, rows
        if before is None or before[0][0] == _NOTHING or rows[0][0] == _NOTHING:
            self.refresh()
            return
        for y in range(height):
            old = before[y] if y < len(before) else None
            new = rows[y] if y < len(rows) else None
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def _nothing(self, width: int) -> Line:
        if self.only and self.matches is not None:
            text = f"No line has {self.matches.text!r}."
        else:
            yet = "No output yet: the job waits, Explain says why." if self.waits else "No output yet."
            text = self.problem or ("No output." if self.buffer.complete else yet)
        return ((" " * max(0, (width - len(text)) // 2) + text, "bad" if self.problem else "dim"),)

    def _say(self) -> None:
        buffer = self.buffer
        dropped = f" · {count(buffer.first)} dropped" if buffer.first else ""
        left_out = f" · {size(buffer.left_out)} left out by the agent" if buffer.left_out else ""
        jobs = f"{len(buffer.sources)} logs" if len(buffer.sources) > 1 else "Log"
        title = f"{jobs} · {count(buffer.end)} lines · {size(buffer.seen_bytes)}{dropped}{left_out}"
        if self.matches is not None:
            found = self.matches.end - self.matches.first
            more = "" if self.matches.complete else "+"
            title += f" · {count(found)}{more} with {self.matches.text[:30]}"
        if self.new_below:
            below = f"▼ {count(self.new_below)} new below"
        elif buffer.complete:
            below = "complete"
        elif self.problem and len(buffer):
            below = self.problem
        else:
            below = "following" if self.following else "paused"
        self.say(title, below)
