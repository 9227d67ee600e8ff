"""The output of several jobs as one, in the order in which it was written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.widget import Widget

from tui.actions.bindings import bindings
from tui.screens.log_keys import LogKeys
from tui.store.log import LogBuffer
from tui.store.store import Store

MAX_LOGS: Final = 20


class LogsScreen(LogKeys):
    """A log of several jobs."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("logs")
    DEFAULT_CSS = "LogsScreen #log { height: 1fr; border: round $primary; border-title-color: $primary; }"

    def __init__(self, store: Store, job_ids: Sequence[str], *, read_only: bool) -> None:
        super().__init__("logs", store, read_only=read_only)
        self.job_ids = list(job_ids)

    def body(self) -> Iterable[Widget]:
        """Nothing but the log."""
        yield self.log_view

    def on_mount(self) -> None:
        """Follow all of them."""
        labels = [
            job.title.rsplit("/", 1)[-1] if (job := self._store.jobs.get(job_id)) and job.test else job_id
            for job_id in self.job_ids
        ]
        self.read(LogBuffer(labels=labels))

    def selected_jobs(self) -> list[str]:
        """The jobs whose output this is."""
        return self.job_ids

    def action_back(self) -> None:
        """Back to where one came from."""
        self.dashboard.close_logs()
