"""The runs, and one of them with its jobs, those first that somebody should look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from tui.actions.bindings import Action, bindings
from tui.operations.catalog import Operation
from tui.screens.lists import ListScreen
from tui.screens.live import LiveScreen
from tui.store.index import JobIndex
from tui.store.runs import RunRecord
from tui.store.store import Changes, Store
from tui.widgets.job_table import JobTable
from tui.widgets.run_card import RunCard
from tui.widgets.run_table import RunTable
from tui.widgets.table import LineTable


class RunsScreen(ListScreen[RunTable]):
    """All runs."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("list", "runs")
    AUTO_FOCUS = "#runs"
    DEFAULT_CSS = "RunsScreen #runs { height: 1fr; }"

    def __init__(self, store: Store, text: str = "", *, read_only: bool) -> None:
        super().__init__("runs", store, RunTable(store, "runs"), text, read_only=read_only)

    def body(self) -> Iterable[Widget]:
        """The table."""
        yield self.table

    def on_mount(self) -> None:
        """Ask for what events did not tell."""
        self.dashboard.look_up_runs()

    def update(self, changes: Changes) -> None:
        """Draw what changed."""
        super().update(changes)
        if changes.jobs or changes.second:
            self.table.sync()
            self.check_selection()

    def selected_jobs(self) -> list[str]:
        """The jobs of the run under the cursor."""
        run = self._selected()
        return sorted(run.job_ids) if run is not None else []

    def selected_states(self) -> set[bool]:
        """The same from what is counted: a run may be large."""
        run = self._selected()
        if run is None:
            return set()
        return {True} if run.ended_all else {True, False} if run.ended else {False}

    def refusal(self, action: Action) -> str:
        """Why nothing can be done to the run."""
        if not action.mutates or not self.dashboard.can_mutate:
            return super().refusal(action)
        if self._selected() is None:
            return "There is no run under the cursor."
        return (
            "This run is over." if action.method == "action_cancel" else "No job of this run has ended yet."
        )

    def _selected(self) -> RunRecord | None:
        return self.dashboard.store.jobs.runs.get(self.table.cursor_id or "")

    def on_line_table_moved(self) -> None:
        """Another run is selected."""
        self.check_selection()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        """Show the run that was chosen."""
        self.dashboard.open_run(event.row_id)

    def action_copy(self) -> None:
        """Copy the id of the run."""
        self.dashboard.copy(self.table.cursor_id or "")


class RunScreen(LiveScreen):
    """One run."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("run")
    AUTO_FOCUS = "#jobs"
    DEFAULT_CSS = """
    RunScreen #card { height: 6; }
    RunScreen #jobs { height: 1fr; }
    """

    def __init__(self, store: Store, run_id: str, *, read_only: bool) -> None:
        super().__init__("run", store, read_only=read_only)
        self.run_id = run_id
        self.index = JobIndex(store.jobs, run_id=run_id)
        """Its jobs in the order of the table."""
        self._card = RunCard(store, run_id, "card")
        self.jobs = self.main = JobTable(store, self.index, "Jobs, what went wrong first")

    def body(self) -> Iterable[Widget]:
        """The card above the jobs."""
        yield self._card
        yield self.jobs

    def on_mount(self) -> None:
        """Put its jobs in order, and ask for what events do not tell."""
        self.dashboard.look_up_run(self.run_id)
        self._arrange()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while it was hidden."""
        self._arrange()
        super().on_screen_resume()

    def update(self, changes: Changes) -> None:
        """Draw what changed."""
        super().update(changes)
        if changes.jobs:
            self.index.update(changes.jobs)
        if changes.jobs or changes.second:
            self._card.sync()
            self.jobs.sync()
            self.check_selection()

    def unmark(self, done: Operation) -> None:
        """See `JobTable.unmark`."""
        self.jobs.unmark(done)

    def selected_jobs(self) -> list[str]:
        """The marked jobs, or the one under the cursor."""
        return self.jobs.selected()

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        """Show the job that was chosen."""
        self.dashboard.open_job(event.row_id)

    def on_line_table_moved(self) -> None:
        """Another job is selected."""
        self.check_selection()

    def action_back(self) -> None:
        """Back to where one came from."""
        self.dashboard.go_back()

    def _arrange(self) -> None:
        self.index.show(order="trouble")
        while not self.index.complete:
            self.index.step()
