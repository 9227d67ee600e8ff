"""What the lists of runs and of slots share: a part of a name is typed, and only what has it is shown."""

from __future__ import annotations

from typing import Generic, TypeVar

from tui.screens.live import LiveScreen
from tui.store.store import Store
from tui.widgets.line_bar import LineBar, TextBar
from tui.widgets.run_table import RunTable
from tui.widgets.slot_table import SlotTable

_Table = TypeVar("_Table", RunTable, SlotTable)


class ListScreen(LiveScreen, Generic[_Table]):
    """A screen with a table that can be narrowed, to begin with to what has `text`."""

    def __init__(self, name: str, store: Store, table: _Table, text: str, *, read_only: bool) -> None:
        super().__init__(name, store, read_only=read_only)
        self.table = table
        self.table.wanted = text
        self.main = table

    async def action_filter(self) -> None:
        """Open the line in which a part of a name is typed."""
        await self.open_bar(TextBar(self.table.wanted))

    def bar_changed(self, bar: LineBar, text: str) -> None:
        """Show only what has the text."""
        if isinstance(bar, TextBar):
            self.table.want(text)
        else:
            super().bar_changed(bar, text)

    def action_back(self) -> None:
        """Take the filter off, or go back."""
        if self.table.wanted:
            self.table.want("")
        else:
            self.dashboard.go_back()
