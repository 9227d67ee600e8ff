"""The output of several jobs as one, in the order in which it was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer

from tui.actions import bindings
from tui.screens.log_keys import LogKeys
from tui.store.log import LogBuffer
from tui.store.store import Changes, Store
from tui.widgets.log_view import LogView
from tui.widgets.status_bar import StatusBar

MAX_LOGS: Final = 20


class LogsScreen(LogKeys):
    """A log of several jobs."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("logs")
    AUTO_FOCUS = "#log"
    DEFAULT_CSS = """
    LogsScreen #log {
        border: round $primary; padding: 0 1; border-title-color: $primary; height: 1fr;
        border-subtitle-color: $foreground 55%; border-title-style: bold; background: $background;
    }
    """

    def __init__(self, store: Store, job_ids: Sequence[str], *, read_only: bool) -> None:
        super().__init__("logs")
        self._store = store
        self._read_only = read_only
        self._version = -1
        self.job_ids = list(job_ids)

    def compose(self) -> ComposeResult:
        """Nothing but the log."""
        yield StatusBar(self._store, read_only=self._read_only)
        yield LogView("log")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Follow all of them."""
        labels = [
            job.test.rsplit("/", 1)[-1] if (job := self._store.jobs.get(job_id)) and job.test else job_id
            for job_id in self.job_ids
        ]
        buffer = LogBuffer(labels=labels)
        self.log_view.show(buffer)
        self.dashboard.follow(self.job_ids, buffer, self.say)

    def update(self, changes: Changes) -> None:
        """Draw what changed."""
        if not self.ready:
            return
        if changes.link or changes.second:
            self.query_one(StatusBar).sync()
        version = self.log_view.buffer.version
        if version != self._version:
            self._version = version
            self.log_view.sync()

    def selected_jobs(self) -> list[str]:
        """The jobs whose output this is."""
        return self.job_ids

    def action_back(self) -> None:
        """Back to where one came from."""
        self.dashboard.close_logs()
