"""What the screens with a log share: finding something in it, and saving it."""

from __future__ import annotations

from tui.screens.live import LiveScreen
from tui.store.log import LogBuffer
from tui.store.store import Changes, Store
from tui.widgets.line_bar import FindBar, LineBar
from tui.widgets.log_view import LogView


class LogKeys(LiveScreen):
    """A screen with a log."""

    AUTO_FOCUS = "#log"

    def __init__(self, name: str, store: Store, *, read_only: bool) -> None:
        super().__init__(name, store, read_only=read_only)
        self.log_view = LogView("log")
        self.main = self.log_view
        self._drawn_version = -1
        self._read = False

    def read(self, buffer: LogBuffer) -> None:
        """Show a log, and have it filled with the output of the selected jobs."""
        self.log_view.show(buffer)
        self._read = True
        self._go_on()

    def on_screen_resume(self) -> None:
        """Go on with the log: a screen that lay over this one may have followed another."""
        super().on_screen_resume()
        if self._read and self.dashboard.followed_log is not self.log_view.buffer and self._more_to_come():
            self._go_on()

    def _more_to_come(self) -> bool:
        return not self.log_view.buffer.complete or bool(self.jobs_of(self.selected_jobs(), ended=False))

    def _go_on(self) -> None:
        self.dashboard.follow_logs(self.selected_jobs(), self.log_view.buffer, self.say)

    def update(self, changes: Changes) -> None:
        """Draw what changed; of a job that is tried again there is more to come."""
        super().update(changes)
        ended = self.log_view.buffer.complete
        if ended and not changes.jobs.isdisjoint(self.selected_jobs()) and self._more_to_come():
            self._go_on()
        version = self.log_view.buffer.version
        if version != self._drawn_version:
            self._drawn_version = version
            self.log_view.sync()

    async def action_find(self) -> None:
        """Open the line in which one types what to look for."""
        matches = self.log_view.matches
        await self.open_bar(FindBar(matches.text if matches is not None else ""))

    def bar_changed(self, bar: LineBar, text: str) -> None:
        """Look for what was typed."""
        if not isinstance(bar, FindBar):
            super().bar_changed(bar, text)
            return
        self.log_view.find(text)

    def bar_closed(self, bar: LineBar, text: str, *, keep: bool) -> None:
        """Go to the last place where it was found."""
        super().bar_closed(bar, text, keep=keep)
        if keep and isinstance(bar, FindBar) and text and self.log_view.matches is not None:
            self.log_view.action_previous_match()

    def action_save_log(self) -> None:
        """Write all of the output that is stored into a file."""
        self.dashboard.save_logs(self.selected_jobs())

    def say(self, problem: str) -> None:
        """Say what is in the way of the log, or that nothing is any more."""
        self.log_view.problem = problem
        self.log_view.sync()
