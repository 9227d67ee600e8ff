"""One job: what is known of it, and its log as it is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from tui.actions.bindings import bindings, mutating
from tui.screens.live import PANEL_FRAME
from tui.screens.log_keys import LogKeys
from tui.store.index import JobIndex
from tui.store.log import LogBuffer
from tui.store.store import Changes, Store
from tui.toasts import reply
from tui.widgets.job_card import JobCard


class JobScreen(LogKeys):
    """A card and a log."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("job")
    DEFAULT_CSS = """
    JobScreen #card { height: 5; }
    JobScreen #log { height: 1fr; }
    """

    def __init__(self, store: Store, index: JobIndex, job_id: str, *, read_only: bool) -> None:
        super().__init__("job", store, read_only=read_only)
        self._index = index
        self._card = JobCard(store, "card")
        self.job_id = job_id

    def body(self) -> Iterable[Widget]:
        """The card above the log."""
        yield self._card
        yield self.log_view

    def on_mount(self) -> None:
        """Show the job."""
        self.show(self.job_id)

    def show(self, job_id: str) -> None:
        """Show a job, and follow its log from now on."""
        self.job_id = job_id
        self._card.job_id = job_id
        self._card.say("Job")
        self._drawn_version = -1
        self.read(LogBuffer())
        self.on_screen_resume()

    def update(self, changes: Changes) -> None:
        """Draw what changed."""
        super().update(changes)
        if changes.second or changes.link or self.job_id in changes.jobs:
            card = self._card
            card.set_lines(card.wanted_height(max(20, self.size.width - PANEL_FRAME)))
            card.sync()
            self.check_selection()
            job = self.dashboard.store.jobs.get(self.job_id)
            waits = job is not None and not job.ended and not job.at_work
            if waits != self.log_view.waits:
                self.log_view.waits = waits
                self.log_view.sync()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of what could be done to jobs, show what can be done to this one: the footer is short."""
        may = super().check_action(action, parameters)
        return False if may is None and mutating(action) else may

    # --- Actions -----------------------------------------------------------------------------

    def selected_jobs(self) -> list[str]:
        """The job."""
        return [self.job_id]

    def action_explain(self) -> None:
        """Say why the job is where it is."""
        self.dashboard.explain(self.job_id)

    def action_found(self) -> None:
        """Show what the job's report found, and what it left."""
        self.dashboard.show_report(self.job_id)

    def action_next_job(self) -> None:
        """Go to the job below this one in the table."""
        self._go(1)

    def action_previous_job(self) -> None:
        """Go to the job above."""
        self._go(-1)

    def action_back(self) -> None:
        """Back to the overview, where the cursor stands on this job."""
        self.dashboard.close_job(self.job_id)

    def _go(self, step: int) -> None:
        row = self._index.row_of(self.job_id)
        wanted = 0 if row is None else row + step
        if not 0 <= wanted < len(self._index):
            reply(self, "This is the last job of the table." if step > 0 else "This is the first job.")
            return
        self.show(self._index[wanted])
