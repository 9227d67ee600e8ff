"""The lab: a map of all slots, and a table of them in which they are held and let go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from tui.actions.bindings import bindings
from tui.operations import catalog
from tui.operations.catalog import Operation
from tui.screens.lists import ListScreen
from tui.screens.live import PANEL_FRAME
from tui.store.store import Changes, Store
from tui.toasts import reply
from tui.widgets.lab_map import LabMap
from tui.widgets.slot_table import SlotTable
from tui.widgets.table import LineTable

_MAP_SHARE = 3


class SlotsScreen(ListScreen[SlotTable]):
    """Every slot of every agent."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("list", "slots")
    AUTO_FOCUS = "#slots"
    DEFAULT_CSS = """
    SlotsScreen #map { height: 6; }
    SlotsScreen #slots { height: 1fr; }
    """

    def __init__(self, store: Store, text: str = "", *, read_only: bool) -> None:
        super().__init__("slots", store, SlotTable(store, "slots"), text, read_only=read_only)
        self._map = LabMap(store, "map")

    def body(self) -> Iterable[Widget]:
        """The map above the table."""
        yield self._map
        yield self.table

    def update(self, changes: Changes) -> None:
        """Draw what changed."""
        super().update(changes)
        if changes.lab or changes.second:
            lab_map = self._map
            wanted = lab_map.wanted_height(max(20, self.size.width - PANEL_FRAME))
            lab_map.set_lines(min(wanted, max(2, self.size.height // _MAP_SHARE)))
            lab_map.say("Lab")
            lab_map.sync()
        self.table.sync()

    def on_resize(self) -> None:
        """The map may take another height."""
        self.update(Changes(lab=True))

    def selected_jobs(self) -> list[str]:
        """The job on the slot."""
        found = self.table.slot(self.table.cursor_id or "")
        return [found[1].job_id] if found is not None and found[1].job_id else []

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        """Show the job that runs there; of an idle slot, the jobs that ran there."""
        found = self.table.slot(event.row_id)
        if found is not None and found[1].job_id:
            self.dashboard.open_job(found[1].job_id)
        else:
            self.dashboard.show_filtered(f"slot:{event.row_id}")

    def action_copy(self) -> None:
        """Copy the names of the marked slots, or of the one under the cursor."""
        self.dashboard.copy(" ".join(self.table.selected()))

    def action_hold(self, verb: str) -> None:
        """Hold the marked slots or the one under the cursor, or let them work again."""
        names = self.table.selected()
        if names:
            self.confirm(catalog.slots(catalog.slot_verb(verb), names))
        else:
            reply(self, "There is no slot under the cursor.")

    def unmark(self, done: Operation) -> None:
        """What was marked is done."""
        if done.about_slots:
            self.table.unmark()

    def action_mark(self) -> None:
        """Mark the slot under the cursor, or take its mark off."""
        self.table.mark()

    def action_mark_all(self) -> None:
        """Mark every slot that is shown."""
        self.table.mark_all()

    def action_trouble(self) -> None:
        """Put what does not work first, or go by names again."""
        self.table.trouble_first = not self.table.trouble_first
        self.table.sync()

    def action_back(self) -> None:
        """Undo one step: the marks, the filter; or go back."""
        if self.table.marks:
            self.table.unmark()
        else:
            super().action_back()
