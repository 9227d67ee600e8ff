"""A table that costs what is visible of it: fixed columns, rows by id, a cursor that stays on its row.

The rows are a sequence of ids kept elsewhere; a hundred thousand of them are as good as ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from tui.actions.bindings import bindings
from tui.draw.spans import Line, changed_cells, fit
from tui.widgets.columns import GAP, Column, Ids, ListIds, lay_out
from tui.widgets.tall import TallCanvas

SCROLL_BAR = 2


class LineTable(TallCanvas):
    """The table. Subclasses give `columns`, `rows` and the cells of a row."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("table")
    columns: ClassVar[tuple[Column, ...]] = ()
    header_height: ClassVar[int] = 1

    class Opened(Message):
        """A row was chosen with Enter or a double click."""

        def __init__(self, table: LineTable, row_id: str) -> None:
            super().__init__()
            self.table = table
            self.row_id = row_id

    class Moved(Message):
        """The cursor stands on another row, or other rows are marked."""

        def __init__(self, table: LineTable) -> None:
            super().__init__()
            self.table = table

    def __init__(self, widget_id: str | None = None) -> None:
        super().__init__(widget_id)
        self.rows: Ids = ListIds()
        self._pinned: str | None = None
        self._row = 0

    # --- What a subclass gives ---------------------------------------------------------------

    def cells(self, row_id: str, widths: Sequence[tuple[Column, int]]) -> Sequence[Line]:
        """A row: its cells, each as wide as its column, without the gaps between them."""
        raise NotImplementedError

    def empty(self) -> tuple[str, str]:
        """What to say when there are no rows: a sentence, and a hint."""
        return ("Nothing here.", "")

    # --- The cursor --------------------------------------------------------------------------

    @property
    def cursor_id(self) -> str | None:
        """The id of the row under the cursor, or None when there are no rows."""
        ids = self.rows
        self._settle()
        return ids[self._row] if len(ids) else None

    @property
    def room(self) -> tuple[int, int]:
        """Width and height that can be drawn on, without the scroll bar and a gap before it."""
        return max(0, self.size.width - SCROLL_BAR), self.size.height

    @property
    def page(self) -> int:
        """How many rows are visible."""
        return max(1, self.size.height - self.header_height)

    def move_to(self, row: int, *, pin: bool = True) -> None:
        """Put the cursor on a row and bring it into view."""
        ids = self.rows
        if not len(ids):
            return
        row = max(0, min(row, len(ids) - 1))
        self._row = row
        self._pinned = ids[row] if pin else None
        top = round(self.scroll_y)
        if row < top:
            self._scroll(row)
        elif row >= top + self.page:
            self._scroll(row - self.page + 1)
        self.sync()
        self.post_message(self.Moved(self))

    def to_top(self) -> None:
        """Let the cursor stand on the first row from now on, whatever rows there will be."""
        self._row, self._pinned = 0, None
        self.scroll_to(y=0, animate=False, force=True)

    def move_to_id(self, row_id: str) -> bool:
        """Put the cursor on a row by its id; returns whether it is there."""
        row = self.rows.row_of(row_id)
        if row is not None:
            self.move_to(row)
        return row is not None

    def action_cursor_up(self) -> None:
        """One row up."""
        self.move_to(self._row - 1)

    def action_cursor_down(self) -> None:
        """One row down."""
        self.move_to(self._row + 1)

    def action_page_up(self) -> None:
        """A page up."""
        self.move_to(self._row - self.page)

    def action_page_down(self) -> None:
        """A page down."""
        self.move_to(self._row + self.page)

    def action_first(self) -> None:
        """To the first row, and stay there whatever comes to stand in it."""
        self.move_to(0, pin=False)

    def action_last(self) -> None:
        """To the last row."""
        self.move_to(len(self.rows) - 1)

    def action_open(self) -> None:
        """Open the row under the cursor."""
        row_id = self.cursor_id
        if row_id is not None:
            self.post_message(self.Opened(self, row_id))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor there, a double click opens."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < self.header_height:
            self.title_clicked(self._column_at(offset.x))
            return
        row = offset.y - self.header_height + round(self.scroll_y)
        if row < len(self.rows):
            self.move_to(row)
            if event.chain == 2:
                self.action_open()

    def title_clicked(self, key: str) -> None:
        """The title of a column was clicked; a table that has orders takes one."""

    def _column_at(self, x: int) -> str:
        """The key of the column that a cell belongs to."""
        edge = 0
        for column, width in lay_out(self.columns, self.room[0]):
            edge += width + GAP
            if x < edge:
                return column.key
        return ""

    # --- Drawing -----------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Line]:
        """The header and the visible rows."""
        widths = lay_out(self.columns, width)
        left = width - sum(w + GAP for _, w in widths) + GAP
        rest = ((" " * left, ""),) if left > 0 else ()
        lines = [self._header(widths)] if self.header_height else []
        ids = self.rows
        if not len(ids):
            return [*lines, *self._nothing(width, height - len(lines))]
        top = round(self.scroll_y)
        for row in range(top, min(top + height - len(lines), len(ids))):
            row_id = ids[row]
            under = ""
            if row == self._row:
                under = "on-cursor" if self.has_focus else "on-blurred" if self._pinned else ""
            # Each cell is as wide as its column: nothing has to be measured.
            lines.append(((under, "*"), *_spaced(self.cells(row_id, widths)), *rest))
        return lines

    def sync(self) -> None:
        """Follow the rows, then repaint what differs."""
        if not self.is_attached:
            return  # what is drawn first is drawn from the rows as they are then
        self._settle()
        self.stretch(len(self.rows) + self.header_height)
        super().sync()

    def changed(self, old: Line, new: Line, width: int) -> tuple[int, int] | None:
        """The same; what lies under a row is no cell of it."""
        if not (old and new and old[0][1] == new[0][1] == "*"):
            return (0, width) if old != new else None
        return (0, width) if old[0] != new[0] else changed_cells(old[1:], new[1:], width)

    def render_line(self, y: int) -> Strip:
        """A line as Textual wants it; the first span of a row says what lies under it."""
        width = self.size.width
        if self._drawn is None or self._drawn_size != self.room:
            self._settle()
            self._draw()
        self.lines_painted += 1
        lines = self._drawn or []
        line = lines[y] if y < len(lines) else ()
        if line and line[0][1] == "*":
            return self.to_strip(line[1:], width, line[0][0])
        return self.to_strip(line, width)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are visible now."""
        self._drawn = None
        super().watch_scroll_y(old_value, new_value)

    def on_focus(self) -> None:
        """The cursor looks different with the focus."""
        self.sync()

    def on_blur(self) -> None:
        """The cursor looks different without the focus."""
        self.sync()

    def on_resize(self) -> None:
        """Other columns may fit."""
        self.sync()

    def _settle(self) -> None:
        """Bring the cursor to where its row is now, and keep it at the same height if it was seen."""
        ids = self.rows
        count = len(ids)
        if not count:
            self._row = 0
            return
        if self._pinned is None:
            self._row = 0
            return
        row = ids.row_of(self._pinned)
        if row is None:
            self._row = min(self._row, count - 1)
            self._pinned = ids[self._row]
            return
        moved = row - self._row
        if moved:
            top = round(self.scroll_y)
            seen = top <= self._row < top + self.page
            self._row = row
            if seen and top:
                self._scroll(top + moved)
            elif seen and row >= top + self.page:
                self._scroll(row - self.page + 1)

    def _scroll(self, top: int) -> None:
        self.stretch(len(self.rows) + self.header_height)
        self.scroll_to(y=top, animate=False, force=True)

    def _header(self, widths: Sequence[tuple[Column, int]]) -> Line:
        return _spaced([((fit(c.title, w, right=c.right), "title"),) for c, w in widths])

    def _nothing(self, width: int, height: int) -> list[Line]:
        sentence, hint = self.empty()
        above: list[Line] = [()] * max(0, (height - (2 if hint else 1)) // 2)
        return [
            *above,
            ((fit(" " * max(0, (width - len(sentence)) // 2) + sentence, width), "wait"),),
            ((fit(" " * max(0, (width - len(hint)) // 2) + hint, width), "dim"),),
        ]


def _spaced(cells: Sequence[Line]) -> Line:
    out: list[tuple[str, str]] = []
    for i, cell in enumerate(cells):
        if i:
            out.append((" " * GAP, ""))
        out.extend(cell)
    return tuple(out)
