"""Which screen is shown: the ways to them and back, and into a replay.

Screens are imported when they are opened: the first one does not wait for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.screens.overview import OverviewScreen
from tui.shell import Shell
from tui.store.index import JobIndex

if TYPE_CHECKING:
    from tui.replay.replay import Replay
    from tui.store.log import LogBuffer


class Navigator(Shell):
    """Opens screens and closes them."""

    followed_log: LogBuffer | None = None
    """The log that is filled, or was last."""

    def stop_following(self) -> None:
        """Fill no log any more, and let go of the last one."""
        self.workers.cancel_group(self, "log")
        self.followed_log = None

    def open_job(self, job_id: str) -> None:
        """Show a job."""
        from tui.screens.job import JobScreen
        from tui.screens.runs import RunScreen

        here = self.screen
        if isinstance(here, JobScreen):
            here.show(job_id)
        else:
            index = here.index if isinstance(here, RunScreen) else self.index
            self.push_screen(JobScreen(self.store, index, job_id, read_only=self.read_only))

    def close_job(self, job_id: str) -> None:
        """Back to where one came from, the cursor on the job that was shown."""
        from tui.screens.runs import RunScreen

        self.stop_following()
        self.go_back()
        if isinstance(self.screen, OverviewScreen | RunScreen):
            self.screen.jobs.move_to_id(job_id)

    def go_back(self) -> None:
        """To the screen below."""
        if len(self.screen_stack) > self._base_depth:
            self.pop_screen()

    def go_home(self) -> None:
        """To the overview."""
        self.stop_following()
        while len(self.screen_stack) > self._base_depth:
            self.pop_screen()

    def show_filtered(self, text: str) -> None:
        """The jobs that a filter lets through."""
        self.go_home()
        home = self.screen
        if isinstance(home, OverviewScreen):
            home.filter_by(text)

    def open_runs(self, text: str = "") -> None:
        """All runs, or those that have a text in their names."""
        from tui.screens.runs import RunsScreen

        self.go_home()
        self.push_screen(RunsScreen(self.store, text, read_only=self.read_only))

    def open_slots(self, text: str = "") -> None:
        """All slots, or those in which a text occurs."""
        from tui.screens.slots import SlotsScreen

        self.go_home()
        self.push_screen(SlotsScreen(self.store, text, read_only=self.read_only))

    def open_alerts(self) -> None:
        """What is wrong with the lab, over whatever is shown."""
        from tui.screens.alerts import AlertsScreen

        if not isinstance(self.screen, AlertsScreen):
            self.push_screen(AlertsScreen(self.store, read_only=self.read_only))

    def open_run(self, run_id: str) -> None:
        """One run, its failures first."""
        from tui.screens.runs import RunScreen

        self.push_screen(RunScreen(self.store, run_id, read_only=self.read_only))

    def open_logs(self, job_ids: Sequence[str]) -> None:
        """The output of several jobs as one."""
        from tui.screens.logs import MAX_LOGS, LogsScreen

        if len(job_ids) > MAX_LOGS:
            self.notify(f"At most {MAX_LOGS} logs are read as one.", severity="error", markup=False)
        elif job_ids:
            self.push_screen(LogsScreen(self.store, job_ids, read_only=self.read_only))

    def close_logs(self) -> None:
        """Back from the output of several jobs."""
        self.stop_following()
        self.go_back()

    def show_replay(self, replay: Replay) -> None:
        """Let the screens show a replay."""
        self.end_replay()
        self.go_home()
        self.replay = replay
        self.store = replay.store
        self.index = JobIndex(replay.store.jobs)
        self._base_depth = 2
        self.push_screen(OverviewScreen(self.store, self.index, read_only=self.read_only))
        self.show_jobs()

    def end_replay(self) -> None:
        """Back to what is now."""
        if self.replay is not None:
            self.replay = None
            self._base_depth = 1
            self.go_home()
            self.store = self.live_store
            self.index = self._live_index
            self.show_jobs()
