"""What all full screens share: they draw what changed, and only while they can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from tui.actions import mutating
from tui.store.store import Changes

if TYPE_CHECKING:
    from tui.app import DashboardApp


class LiveScreen(Screen[None]):
    """A screen that the app's timer keeps up to date."""

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (64, "-narrow"), (150, "-wide")]  # noqa: RUF012  (as Textual declares it)
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-normal"), (50, "-tall")]  # noqa: RUF012
    ALLOW_SELECT = False

    @property
    def dashboard(self) -> DashboardApp:
        """Our app."""
        return cast("DashboardApp", self.app)

    def update(self, changes: Changes) -> None:
        """Draw what changed."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Catch up with what happened while it was hidden."""
        self.update(Changes(overview=True, lab=True, link=True, second=True))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what read-only mode forbids."""
        if self.dashboard.read_only and mutating(action):
            return False
        return super().check_action(action, parameters)

    def cancellable(self, job_ids: list[str]) -> list[str]:
        """Those of the jobs that have not ended."""
        jobs = self.dashboard.store.jobs
        return [i for i in job_ids if (job := jobs.get(i)) is not None and not job.ended]

    def ask_to_cancel(self, job_ids: list[str]) -> None:
        """Ask, then cancel."""
        from tui.screens.confirm import ConfirmCancel

        wanted = self.cancellable(job_ids)
        if not wanted:
            self.app.bell()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.cancel_jobs(wanted)

        jobs = [self.dashboard.store.jobs.get(job_id) for job_id in wanted]
        self.app.push_screen(ConfirmCancel([job for job in jobs if job is not None]), answered)
