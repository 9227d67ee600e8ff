"""The dashboard's app: what its keys and commands do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Input

from tui.actions.bindings import Action, bindings
from tui.actions.command_line import CommandError
from tui.operations.background import BackgroundTasks
from tui.operations.catalog import Operation
from tui.platform.saving import dated, new_file, saved_at
from tui.screens.live import LiveScreen
from tui.screens.overview import OverviewScreen
from tui.themes import ROUND
from tui.toasts import reply

if TYPE_CHECKING:
    from textual.command import Provider


def _palette() -> type[Provider]:
    """What the command palette offers; imported when it is opened."""
    from tui.actions.palette import ActionProvider

    return ActionProvider


class DashboardApp(BackgroundTasks, inherit_bindings=False):
    """The whole dashboard; without `options` it shows a store that somebody else fills."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("app")
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}

    def run_command(self, line: str) -> None:
        """Do what was typed behind `:`."""
        from tui.actions.commander import Commander

        try:
            Commander(self).run(line)
        except CommandError as error:
            self.notify(str(error), severity="error", markup=False)

    def confirm(self, operation: Operation) -> None:
        """Ask before something is changed, then do it."""
        if isinstance(self.screen, LiveScreen):
            self.screen.confirm(operation)

    def copy(self, text: str) -> None:
        """Put a text on the clipboard, over SSH as well, and say so."""
        if text:
            self.copy_to_clipboard(text)
            reply(self, f"Copied {text[:60]}")
        else:
            reply(self, "There is nothing to copy.")

    def allows(self, action: Action, screen: Screen[object]) -> bool:
        """Whether an action can be done on a screen just now."""
        if action.mutates and not self.can_mutate:
            return False
        owner = self if action.scope == "app" else screen
        return owner.check_action(action.name.partition("(")[0], ()) is True

    def perform(self, action: Action) -> None:
        """Carry out an action where it belongs."""
        screen = self.screen
        target: DOMNode = self if action.scope == "app" else screen
        if action.scope in {"table", "marks", "log"} and isinstance(screen, LiveScreen):
            focused = screen.focused
            target = focused if focused is not None and hasattr(focused, action.method) else screen.main
        self.call_later(self.run_action, action.name, target)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where something is typed, a colon is a colon."""
        if action == "command" and isinstance(self.focused, Input):
            return False
        if action.startswith("replay_") and self.replay is None:
            return False
        return super().check_action(action, parameters)

    # --- Actions -------------------------------------------------------------------------------

    async def action_command(self, text: str = "") -> None:
        """Open the line in which a command is typed, with the beginning of one."""
        if isinstance(self.screen, LiveScreen):
            await self.screen.open_command(text)

    def action_replay_pause(self) -> None:
        """Play, or pause."""
        if self.replay is not None:
            self.replay.toggle()

    def action_replay_step(self, events: int) -> None:
        """Some events onwards or back."""
        if self.replay is not None:
            self.replay.step(events)

    def action_replay_wind(self, seconds: int) -> None:
        """Some seconds onwards or back."""
        if self.replay is not None:
            self.replay.seek(self.replay.clock.at + seconds)

    def action_replay_faster(self, steps: int) -> None:
        """Another speed."""
        if self.replay is not None:
            self.replay.change_speed(steps)

    def action_replay_end(self) -> None:
        """Back to what is now."""
        self.end_replay()

    def action_panel(self, panel: str) -> None:
        """Go to a panel of the overview; if it has the focus already, show it alone."""
        here = self.screen
        self.go_home()
        home = self.screen
        if isinstance(home, OverviewScreen):
            home.show_panel(panel, again=home is here)

    def action_runs(self) -> None:
        """Show the runs."""
        self.open_runs()

    def action_slots(self) -> None:
        """Show every slot."""
        self.open_slots()

    def action_alerts(self) -> None:
        """Show what is wrong."""
        self.open_alerts()

    def action_help(self) -> None:
        """Show all keys."""
        from tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.screen.name, read_only=self.read_only))

    def action_leave(self) -> None:
        """Leave; jobs go on."""
        self.exit()

    def action_next_theme(self) -> None:
        """Change to the next theme."""
        here = ROUND.index(self.theme) if self.theme in ROUND else -1
        self.theme = ROUND[(here + 1) % len(ROUND)]
        reply(self, self.theme)

    def action_save_picture(self) -> None:
        """Save the screen as a picture in the current folder."""
        path = dated("qgjob", "svg", self.store.clock.now())
        try:
            with new_file(self, path) as file:
                file.write(self.export_screenshot())
        except OSError as error:
            self.notify(f"The picture was not saved: {error}.", severity="error", markup=False)
        else:
            self.notify(f"Saved to {saved_at(self, path)}", markup=False)

    def action_read_again(self) -> None:
        """Read everything again."""
        if self._feed is not None:
            self._feed.request_resync("Everything was read again.")
