"""A job's log: only visible lines are parsed, and the reader's place holds while old lines go.

The end of the log is the last line of the view while it is followed; a step upwards stops that.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.binding import BindingType
from textual.geometry import Region
from textual.strip import Strip

from tui.actions import bindings
from tui.draw.ansi import parse
from tui.draw.spans import Line
from tui.draw.times import count, moment, size
from tui.store.log import LogBuffer
from tui.widgets.inks import look_style, style_of
from tui.widgets.tall import TallCanvas

_GUTTER = {"out": ("  ", ""), "err": ("▌ ", "bad"), "sys": ("▌ ", "accent")}
_MAX_ASIDE = 4000
SCROLL_BAR = 1
_Row = tuple[int, int, int]


class LogView(TallCanvas):
    """Shows a `LogBuffer`."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("log")

    def __init__(self, widget_id: str) -> None:
        super().__init__(widget_id)
        self.buffer = LogBuffer()
        self.following = True
        self.show_times = False
        self.problem = ""
        """Why there is no log, or no more of it."""
        self._top = 0
        self._aside = 0
        self._seen_end = 0
        self._rows: list[_Row] = []
        self._ours = False
        self.lines_parsed = 0
        """How many lines were parsed so far: what drawing costs, for tests."""

    def show(self, buffer: LogBuffer) -> None:
        """Show another log, from its end."""
        self.buffer = buffer
        self.following = True
        self.problem = ""
        self._top = self._aside = self._seen_end = 0
        self._rows = []
        self.sync()
        self.refresh()

    @property
    def top(self) -> int:
        """The number of the first visible line."""
        return self._top

    @property
    def new_below(self) -> int:
        """How many lines came since the end was last in view."""
        return 0 if self.following else max(0, self.buffer.end - self._seen_end)

    def sync(self) -> None:
        """Take what came, hold the place, and repaint what differs."""
        height = self.size.height
        if not self.is_attached or not height:
            return
        buffer = self.buffer
        if self.following:
            self._top = max(buffer.first, buffer.end - height)
        else:
            self._top = max(buffer.first, min(self._top, max(buffer.first, buffer.end - 1)))
        if self._top + height >= buffer.end:
            self._seen_end = buffer.end
        self.stretch(len(buffer))
        # Lines that went at the front take the scroll position with them, not the reader.
        self._ours = True
        self.scroll_to(y=self._top - buffer.first, animate=False, force=True)
        self._ours = False
        self._say()
        self._repaint()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The wheel or the scroll bar moved: the reader wants to be there."""
        super().watch_scroll_y(old_value, new_value)
        if not self._ours:
            self._top = self.buffer.first + round(new_value)
            self.following = self._top + self.size.height >= self.buffer.end
            self.sync()

    def on_resize(self) -> None:
        """More or fewer lines fit."""
        self.sync()

    # --- Actions -----------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Follow the end, or stop."""
        self.following = not self.following
        self.sync()

    def action_times(self) -> None:
        """Show when lines came, or not."""
        self.show_times = not self.show_times
        self._rows = []
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
        self._go(-len(self.buffer))

    def action_log_last(self) -> None:
        """To the end, and follow it."""
        self.following = True
        self.sync()

    def action_aside(self, cells: int) -> None:
        """To the left or to the right."""
        self._aside = max(0, min(_MAX_ASIDE, self._aside + cells))
        self._rows = []
        self.sync()

    def _go(self, lines: int) -> None:
        last = max(self.buffer.first, self.buffer.end - self.size.height)
        self._top = max(self.buffer.first, min(last, self._top + lines))
        # Whoever walks down to the end wants to stay there.
        self.following = lines > 0 and self._top >= last
        self.sync()

    # --- Drawing -----------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """Not used: lines have attributes of their own."""
        return []

    def render_line(self, y: int) -> Strip:
        """A line as Textual wants it."""
        width = self.size.width
        number = self._top + y
        if number >= self.buffer.end or number < self.buffer.first:
            if not len(self.buffer) and y == self.size.height // 2:
                return self.to_strip(self._nothing(width), width)
            return Strip.blank(width, self.base)
        self.lines_parsed += 1
        self.lines_painted += 1
        line = self.buffer.line(number)
        gutter, ink = _GUTTER[line.stream]
        inks = self.inks
        ground = self.base
        head = [
            Segment("↪ ", ground + inks["faint"])
            if line.continued
            else Segment(gutter, ground + style_of(inks, ink))
        ]
        if self.show_times:
            head.append(Segment(moment(line.at) + " ", ground + inks["dim"]))
        base = ground + inks["accent"] if line.stream == "sys" else ground
        body = Strip([Segment(text, base + look_style(look)) for text, look in parse(line.text, line.look)])
        room = max(0, width - SCROLL_BAR - sum(len(segment.text) for segment in head))
        shown = body.crop(self._aside, self._aside + room)
        if body.cell_length > self._aside + room > 0:
            shown = Strip(
                [*body.crop(self._aside, self._aside + room - 1), Segment("…", ground + inks["faint"])]
            )
        return Strip([*head, *shown]).adjust_cell_length(width, ground)

    def _repaint(self) -> None:
        """Compare what is to be seen with what was, line by line, without parsing any of it."""
        height = self.size.height
        buffer = self.buffer
        rows: list[_Row] = []
        for number in range(self._top, min(self._top + height, buffer.end)):
            line = buffer.line(number)
            rows.append((number, len(line.data), id(buffer)))
        if not rows:
            rows = [(-1, hash(self.problem), int(buffer.complete))]
        for y in range(height):
            old = self._rows[y] if y < len(self._rows) else None
            new = rows[y] if y < len(rows) else None
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))
        if not len(buffer):
            self.refresh()
        self._rows = rows

    def _nothing(self, width: int) -> Line:
        text = self.problem or ("No output." if self.buffer.complete else "No output yet.")
        return ((" " * max(0, (width - len(text)) // 2) + text, "bad" if self.problem else "dim"),)

    def _say(self) -> None:
        buffer = self.buffer
        dropped = f" · {count(buffer.first)} dropped" if buffer.first else ""
        left_out = f" · {size(buffer.left_out)} left out by the agent" if buffer.left_out else ""
        title = f"Log · {count(buffer.end)} lines · {size(buffer.seen_bytes)}{dropped}{left_out}"
        if self.new_below:
            below = f"▼ {count(self.new_below)} new below"
        elif buffer.complete:
            below = "complete"
        elif self.problem and len(buffer):
            below = self.problem
        else:
            below = "following" if self.following else "paused"
        self.say(title, below)
