"""What all full screens share: they draw what changed, and only while they can be seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.suggester import SuggestFromList
from textual.widget import Widget

from tui.actions.bindings import ACTIONS, Action, mutating
from tui.actions.command_line import COMMANDS
from tui.operations import catalog
from tui.operations.catalog import Operation
from tui.store.job import Job
from tui.store.store import Changes, Store
from tui.widgets.key_bar import KeyBar
from tui.widgets.line_bar import CommandBar, LineBar
from tui.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from tui.app import DashboardApp

PANEL_FRAME: Final = 4
"""Cells that a panel's border and padding take of a line."""
_MAX_CHECKED = 1000
"""Of more selected jobs everything is offered: to look at all of them at each draw would be slow."""


class LiveScreen(Screen[None]):
    """A screen that the app's timer keeps up to date.

    It holds its widgets itself instead of looking for them: a screen may be told of changes before
    they are mounted, and once they are taken away, and then there would be nothing to find.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (64, "-narrow"), (150, "-wide")]  # noqa: RUF012  (as Textual declares it)
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-short"), (34, "-normal"), (50, "-tall")]  # noqa: RUF012
    ALLOW_SELECT = False
    DEFAULT_CSS = """
    LiveScreen .panel {
        border: round $border-blurred; border-title-color: $foreground 70%; border-title-style: bold;
        border-subtitle-color: $foreground 55%; padding: 0 1; background: $background;
    }
    LiveScreen .panel:focus { border: round $primary; border-title-color: $primary; }
    """

    main: Widget
    """The table or the log that keys go to when nothing else has the focus."""

    def __init__(self, name: str, store: Store, *, read_only: bool) -> None:
        super().__init__(name=name)
        self._store = store
        self._selected_states: set[bool] = set()
        self._focus_before_bar: Widget | None = None
        self._status = StatusBar(store, read_only=read_only, alerts=name not in {"overview", "alerts"})
        self._key_bar = KeyBar()

    @property
    def dashboard(self) -> DashboardApp:
        """Our app."""
        return cast("DashboardApp", self.app)

    def compose(self) -> ComposeResult:
        """What the screen is about, between the status and the keys."""
        yield self._status
        yield from self.body()
        yield self._key_bar

    def body(self) -> Iterable[Widget]:
        """The widgets between the top and the bottom line."""
        raise NotImplementedError

    def update(self, changes: Changes) -> None:
        """Draw what changed; what is not displayed costs nothing."""
        if changes.link or changes.second or changes.overview:
            self._status.sync()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while it was hidden."""
        self.update(Changes(overview=True, lab=True, link=True, second=True))

    # --- The line at the bottom --------------------------------------------------------------

    async def open_bar(self, bar: LineBar) -> None:
        """Let something be typed; what is typed next goes into it already.

        It stands where the keys were, which are letters now: no panel changes its size, so that the
        first letter need not wait for that.
        """
        old = self.query(LineBar)
        if old:
            await old.remove()
        else:
            self._focus_before_bar = self.focused
        with self.app.batch_update():
            self._key_bar.display = False
            await self.mount(bar, before=self._key_bar)
        self.set_focus(bar.field)

    async def open_command(self, text: str = "") -> None:
        """Open the line in which a command is typed, with the beginning of one."""
        names = [command.name for command in COMMANDS]
        await self.open_bar(CommandBar(text, suggester=SuggestFromList(names, case_sensitive=False)))

    def bar_changed(self, bar: LineBar, text: str) -> None:
        """Something was typed."""

    def bar_closed(self, bar: LineBar, text: str, *, keep: bool) -> None:
        """The line is gone, with or without its text."""
        if keep and isinstance(bar, CommandBar):
            self.dashboard.run_command(text)
        elif not isinstance(bar, CommandBar):
            self.bar_changed(bar, text)

    def on_line_bar_changed(self, event: LineBar.Changed) -> None:
        """Hand over what was typed, unless it was given up meanwhile."""
        if event.bar.is_attached:
            self.bar_changed(event.bar, event.text)

    async def submit_bar(self) -> bool:
        """Put the line away that is typed in, and do what it says; returns whether there is one."""
        for bar in self.query(LineBar):
            if self.focused is bar.field:
                await bar.settled()
                if bar.apply():
                    await self._remove_bar(bar)
                    self.bar_closed(bar, bar.field.value, keep=True)
                return True
        return False

    async def action_close_bar(self) -> None:
        """Put the line away without what it says."""
        for bar in self.query(LineBar):
            await self._remove_bar(bar)
            self.bar_closed(bar, "", keep=False)

    @on(events.DescendantFocus)
    async def _close_bar_on_blur(self, event: events.DescendantFocus) -> None:
        """Put the line away when something else was clicked: what it says stands, a command is not obeyed."""
        for bar in self.query(LineBar):
            if event.widget is not bar.field:
                await self._remove_bar(bar, then=event.widget)

    async def _remove_bar(self, bar: LineBar, then: Widget | None = None) -> None:
        then = then or self._focus_before_bar
        with self.app.batch_update():
            await bar.remove()
            self._key_bar.display = True
        if then is not None and then.is_attached:
            self.set_focus(then)

    # --- Asking before something is changed --------------------------------------------------

    def jobs_of(self, job_ids: Iterable[str], *, ended: bool | None = None) -> list[Job]:
        """Those of the jobs that are known and have ended, or have not; all with None."""
        known = self.dashboard.store.jobs
        found = (job for job_id in job_ids if (job := known.get(job_id)) is not None)
        return [job for job in found if ended is None or job.ended == ended]

    def confirm(self, operation: Operation) -> None:
        """Ask, then do it."""
        from tui.screens.confirm import Confirm

        if not self.dashboard.can_mutate:  # there is no key for it then, but there are commands
            self.notify(self._mutation_refusal)
            return
        if not operation.targets:
            self.notify(
                "None of these has ended." if operation.verb == "retry" else "All of these have ended."
            )
            return

        def on_result(said: Operation | None) -> None:
            if said is not None:
                self.dashboard.execute(said)
                self.unmark(said)

        self.app.push_screen(Confirm(operation), on_result)

    def selected_jobs(self) -> list[str]:
        """The jobs that an action is about: the marked ones, or the one under the cursor."""
        return []

    def unmark(self, done: Operation) -> None:
        """What was marked is done: the next key is about something else."""

    def action_cancel(self) -> None:
        """Cancel the selected jobs."""
        self.confirm(catalog.cancel(self.jobs_of(self.selected_jobs(), ended=False)))

    def action_retry(self) -> None:
        """Try the selected jobs again."""
        self.confirm(catalog.retry(self.jobs_of(self.selected_jobs(), ended=True)))

    def action_reprioritise(self) -> None:
        """Give the selected jobs another priority."""
        self.confirm(catalog.reprioritise(self.jobs_of(self.selected_jobs(), ended=False)))

    def action_merge(self) -> None:
        """Show the output of the selected jobs as one."""
        self.dashboard.open_logs(self.selected_jobs())

    def action_copy(self) -> None:
        """Copy the ids of the selected jobs."""
        self.dashboard.copy(" ".join(self.selected_jobs()))

    def selected_states(self) -> set[bool]:
        """Whether there are jobs that have ended among the selected ones, and such that have not."""
        selected = self.selected_jobs()
        return (
            {True, False} if len(selected) > _MAX_CHECKED else {job.ended for job in self.jobs_of(selected)}
        )

    def check_selection(self) -> None:
        """Grey out or offer what can be done to the jobs that are selected now."""
        states = self.selected_states()
        if states != self._selected_states:
            self._selected_states = states
            self.refresh_bindings()

    def refusal_for_key(self, key: str) -> str:
        """Why a key does nothing now that does something at other times; nothing of any other key."""
        if key == "ctrl+c":
            return "q leaves the dashboard; jobs go on."
        bound = {binding.id for binding in self.BINDINGS if isinstance(binding, Binding)}
        keymap = self.dashboard.settings.keymap
        for action in ACTIONS:
            if action.id in bound and key in keymap.get(action.id, action.keys).split(","):
                return self.refusal(action)
        return ""

    def refusal(self, action: Action) -> str:
        """Why an action of this screen cannot be done now."""
        if action.mutates and not self.dashboard.can_mutate:
            return self._mutation_refusal
        if action.method not in {"action_cancel", "action_retry", "action_reprioritise"}:
            return ""
        if not self.selected_states():
            return "There is no job under the cursor."
        several = len(self.selected_jobs()) > 1
        if action.method == "action_retry":
            return "None of these jobs has ended yet." if several else "This job has not ended yet."
        return "All of these jobs have ended." if several else "This job has ended."

    @property
    def _mutation_refusal(self) -> str:
        past = self.dashboard.replay is not None
        return "The past cannot be changed." if past else "This dashboard is read-only."

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what read-only mode and the past forbid, grey out what cannot be done just now."""
        if not self.dashboard.can_mutate and mutating(action):
            return False
        typing = self.focused is not None and isinstance(self.focused.parent, LineBar)
        if typing and action in {"filter", "find"}:
            return False  # there it is a letter
        if action in {"cancel", "reprioritise"} and False not in self._selected_states:
            return None
        if action == "retry" and True not in self._selected_states:
            return None
        return super().check_action(action, parameters)
