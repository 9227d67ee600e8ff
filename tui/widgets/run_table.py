"""The runs: how far each is, and how much of it went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tui.draw.progress import progress
from tui.draw.spans import Line, fit
from tui.draw.times import age, count
from tui.store.runs import RunRecord
from tui.store.store import Store
from tui.widgets.columns import Column, ListIds
from tui.widgets.table import LineTable

_COLUMNS = (
    Column("run", "RUN", 14, share=2),
    Column("build", "BUILD", 8, share=1, spare=2),
    Column("org", "ORG", 6, share=1, spare=4),
    Column("bar", "PROGRESS", 16, share=3),
    Column("done", "DONE", 9, right=True),
    Column("failed", "FAILED", 6, right=True),
    Column("flaky", "FLAKY", 5, right=True, spare=3),
    Column("age", "AGE", 5, right=True, spare=1),
)


class RunTable(LineTable):
    """Runs under way first, then the latest."""

    columns: ClassVar[tuple[Column, ...]] = _COLUMNS

    def __init__(self, store: Store, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store
        self._version = -1
        self.wanted = ""
        """Only runs whose id, name, build or organisation has this."""

    def sync(self) -> None:
        """Take the runs as they are now, and repaint what differs."""
        runs = self._store.jobs.runs
        if runs.version != self._version:
            self._version = runs.version
            self.rows = ListIds([run.run_id for run in runs.latest() if self._is_wanted(run)])
        under_way = sum(not run.ended_all for run in runs)
        title = f"Runs  /{self.wanted}" if self.wanted else "Runs"
        self.say(title, f"{count(len(self.rows))} · {count(under_way)} under way")
        super().sync()

    def want(self, text: str) -> None:
        """Show only runs that have a text in their names."""
        self.wanted = text
        self._version = -1
        self.sync()

    def empty(self) -> tuple[str, str]:
        """Why there are no rows."""
        if self.wanted:
            return ("No run matches.", "esc takes the filter off")
        link = self._store.link
        return ("The runs could not be read.", link.query_error) if link.query_error else ("No runs yet.", "")

    def cells(self, row_id: str, widths: Sequence[tuple[Column, int]]) -> Sequence[Line]:
        """A run."""
        run = self._store.jobs.runs.get(row_id)
        if run is None:
            return ()
        return [self._cell(run, column.key, width) for column, width in widths]

    def _is_wanted(self, run: RunRecord) -> bool:
        wanted = self.wanted.casefold()
        return not wanted or any(
            wanted in text.casefold() for text in (run.run_id, run.name, run.build, run.org_id)
        )

    def _cell(self, run: RunRecord, key: str, width: int) -> Line:
        match key:
            case "run":
                # The ends of ids differ, their beginnings tell the time.
                named = fit(run.name or run.run_id, width, keep_end=not run.name)
                return ((named, "" if run.ended_all else "bold"),)
            case "build":
                return ((fit(run.build, width, keep_both=True), "dim"),)
            case "org":
                return ((fit(run.org_id, width), "dim"),)
            case "bar":
                return progress(run.counts, run.total, width)
            case "done":
                text = f"{run.ended}/{run.total}"
                return ((fit(text, width, right=True), "dim" if run.ended_all else ""),)
            case "failed":
                return ((fit(str(run.failed or ""), width, right=True), "bad"),)
            case "flaky":
                return ((fit(str(run.flaky or ""), width, right=True), "prep"),)
            case _:
                text = age(max(0.0, self._store.clock.now() - run.created_at)) if run.created_at else ""
                return ((fit(text, width, right=True), "dim"),)
