"""The first screen: the queue, the agents, the groups, and the jobs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from tui.actions.bindings import bindings
from tui.operations.catalog import Operation
from tui.screens.live import LiveScreen
from tui.store.filter import FilterError, JobFilter, parse_filter
from tui.store.index import JobIndex
from tui.store.orders import ORDERS
from tui.store.store import Changes, Store
from tui.widgets.agent_table import AgentTable
from tui.widgets.alert_bar import AlertBar
from tui.widgets.group_table import GroupTable
from tui.widgets.job_table import JobTable
from tui.widgets.line_bar import FilterBar, LineBar
from tui.widgets.queue_panel import QueuePanel
from tui.widgets.table import LineTable

_CALM = 40
"""Jobs that may change between two draws before the panels take turns."""


class OverviewScreen(LiveScreen):
    """Four panels, of which each can be shown alone."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("overview")
    AUTO_FOCUS = "#jobs"
    DEFAULT_CSS = """
    OverviewScreen #panels { layout: grid; grid-size: 2; grid-rows: 7 5 1fr; }
    OverviewScreen #groups, OverviewScreen #jobs { column-span: 2; }
    OverviewScreen.-normal #panels { grid-rows: 12 9 1fr; }
    OverviewScreen.-tall #panels { grid-rows: 15 12 1fr; }
    OverviewScreen.-wide #panels { grid-size: 3; grid-rows: 9 1fr; }
    OverviewScreen.-wide.-normal #panels { grid-rows: 13 1fr; }
    OverviewScreen.-wide.-tall #panels { grid-rows: 19 1fr; }
    OverviewScreen.-wide #groups { column-span: 1; }
    OverviewScreen.-wide #jobs { column-span: 3; }
    OverviewScreen.-tiny #panels { grid-size: 1; grid-rows: 6 1fr; }
    OverviewScreen.-tiny #groups, OverviewScreen.-tiny #agents { display: none; }
    OverviewScreen.-tiny #jobs { column-span: 1; }
    OverviewScreen.-low #panels { grid-size: 1; grid-rows: 1fr; }
    OverviewScreen.-low #queue, OverviewScreen.-low #agents, OverviewScreen.-low #groups { display: none; }
    OverviewScreen.-low #jobs { column-span: 1; }
    OverviewScreen #panels.zoomed { layout: vertical; }
    OverviewScreen #panels.zoomed > * { display: none; }
    OverviewScreen #panels.zoomed > .zoom { display: block; height: 1fr; }
    """

    def __init__(self, store: Store, index: JobIndex, *, read_only: bool) -> None:
        super().__init__("overview", store, read_only=read_only)
        self._index = index
        self._alerts = AlertBar(store)
        self._queue = QueuePanel(store, "queue")
        self._agents = AgentTable(store, "agents")
        self._groups = GroupTable(store, "groups")
        self.jobs = self.main = JobTable(store, index)
        self._due: dict[AlertBar | QueuePanel | LineTable, None] = {}
        """The panels that something changed for since they were drawn, those that wait longest first."""
        self._panels = Container(self._queue, self._agents, self._groups, self.jobs, id="panels")

    def body(self) -> Iterable[Widget]:
        """The alerts, and below them the panels."""
        yield self._alerts
        yield self._panels

    def update(self, changes: Changes) -> None:
        """Draw what changed; what is not displayed costs nothing."""
        super().update(changes)
        second = changes.second
        if changes.link or second:  # all agents are looked through for them
            self._due[self._alerts] = None
        if changes.overview or second:
            self._due.update({self._queue: None, self._groups: None})
        if changes.lab or second or changes.jobs:
            self._due[self._agents] = None
        # Under load the panels take turns: a key should not have to wait for all of them at once.
        for panel in list(self._due)[: 1 if len(changes.jobs) > _CALM else None]:
            del self._due[panel]
            _sync(panel)
        if changes.jobs or second or changes.link:
            _sync(self.jobs)
            self.check_selection()

    def index_changed(self) -> None:
        """The rows of the job table are others now."""
        self.jobs.sync()

    # --- Actions -----------------------------------------------------------------------------

    def show_panel(self, panel: str, *, again: bool = True) -> None:
        """Go to a panel; if it has the focus already, and one was here, show it alone."""
        widget = self._panels.get_child_by_id(panel)
        if again and widget.has_focus and widget.display:
            self._zoom(None if widget.has_class("zoom") else widget)
        else:
            if not widget.display or self._zoomed() is not None:
                self._zoom(widget)
            widget.focus()

    def action_zoom(self) -> None:
        """Show the panel with the focus alone, or all of them again."""
        self._zoom(None if self._zoomed() is not None else self._panel_in_use())

    async def action_filter(self) -> None:
        """Open the line in which a filter is typed."""
        await self.open_bar(FilterBar(self._index.filter.text))

    def action_order(self) -> None:
        """Order the jobs by the next of the ways."""
        self._order_by(1)

    def action_order_back(self) -> None:
        """Order the jobs by the way before."""
        self._order_by(-1)

    def action_back(self) -> None:
        """Undo one step: the marks, the filter, the zoom; then go to the top."""
        if self.jobs.marks:
            self.jobs.action_unmark_all()
        elif self._index.filter:
            self.dashboard.show_jobs(filter=JobFilter())
        elif self._zoomed() is not None:
            self._zoom(None)
        else:  # where the newest come, though the cursor stayed on a job that was looked at
            self.jobs.to_top()
            self.jobs.sync()

    # --- What the panels say -----------------------------------------------------------------

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        """Open what was chosen: a job; of a group, an agent or an idle slot, its jobs."""
        table = event.table
        if isinstance(table, JobTable):
            self.dashboard.open_job(event.row_id)
        elif isinstance(table, AgentTable):
            job_id = table.job_of(event.row_id)
            slot, agent = table.slot_of(event.row_id), table.agent_of(event.row_id)
            if job_id:
                self.dashboard.open_job(job_id)
            elif slot:
                self.filter_by(f"slot:{shlex.quote(slot)}")
            elif agent:
                self.filter_by(f"agent:{shlex.quote(agent)}")
        elif isinstance(table, GroupTable) and (view := table.group(event.row_id)) is not None:
            group = view.group
            needs = "" if group.capability == "any" else f" needs:{shlex.quote(group.capability)}"
            self.filter_by(
                f"build:{shlex.quote(group.app_version_id)} org:{shlex.quote(group.org_id)}{needs}"
            )

    def on_alert_bar_clicked(self) -> None:
        """Show what is wrong, and what to do."""
        self.dashboard.open_alerts()

    def on_job_table_order_wanted(self, event: JobTable.OrderWanted) -> None:
        """The title of a column was clicked."""
        self.dashboard.show_jobs(order=event.order)

    def on_line_table_moved(self) -> None:
        """Another job is selected: it may be one that cannot be cancelled."""
        self.check_selection()

    def on_descendant_focus(self) -> None:
        """Another panel is in use."""
        self.check_selection()

    def bar_changed(self, bar: LineBar, text: str) -> None:
        """Show what matches."""
        if isinstance(bar, FilterBar):
            self._show_filtered(parse_filter(text))

    def bar_closed(self, bar: LineBar, text: str, *, keep: bool) -> None:
        """Go to the jobs that were looked for."""
        super().bar_closed(bar, text, keep=keep)
        if isinstance(bar, FilterBar):
            self.jobs.focus()

    # --- Inner things ------------------------------------------------------------------------

    def _order_by(self, step: int) -> None:
        names = list(ORDERS)
        self.dashboard.show_jobs(order=names[(names.index(self._index.order) + step) % len(names)])

    def unmark(self, done: Operation) -> None:
        """See `JobTable.unmark`."""
        self.jobs.unmark(done)

    def selected_jobs(self) -> list[str]:
        """The marked jobs, or the one that the focused panel stands on."""
        focused = self.focused
        if isinstance(focused, AgentTable):
            cursor = focused.cursor_id
            job_id = focused.job_of(cursor) if cursor else None
            return [job_id] if job_id else []
        if isinstance(focused, GroupTable | QueuePanel) and not self.jobs.marks:
            return []
        return self.jobs.selected()

    def filter_by(self, text: str) -> None:
        """Show the jobs that a filter lets through, and go to them."""
        try:
            wanted = parse_filter(text)
        except FilterError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self._show_filtered(wanted)
        if self._zoomed() is not None:
            self._zoom(self.jobs)
        self.jobs.focus()

    def _show_filtered(self, wanted: JobFilter) -> None:
        """Show what a filter lets through, from its first row unless the cursor's job is among it."""
        cursor = self.jobs.cursor_id
        job = self._store.jobs.get(cursor) if cursor else None
        if job is None or not wanted.matches(job):
            self.jobs.to_top()
        self.dashboard.show_jobs(filter=wanted)

    def _panel_in_use(self) -> Widget:
        focused = self.focused
        return focused if focused is not None and focused.parent is self._panels else self.jobs

    def _zoomed(self) -> Widget | None:
        return next((panel for panel in self._panels.children if panel.has_class("zoom")), None)

    def _zoom(self, widget: Widget | None) -> None:
        for panel in self._panels.children:
            panel.set_class(panel is widget, "zoom")
        self._panels.set_class(widget is not None, "zoomed")
        self._agents.unfolded = widget is self._agents
        if widget is not None:
            widget.focus()
        self.call_after_refresh(self.on_screen_resume)


def _sync(panel: AlertBar | QueuePanel | LineTable) -> None:
    if panel.display or isinstance(panel, AlertBar):  # which shows itself when there is something to say
        panel.sync()
