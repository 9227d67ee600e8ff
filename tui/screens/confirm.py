"""The question before something is changed, with the command that would do the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tui.actions import bindings
from tui.draw.clean import clean
from tui.draw.states import JOB_GLYPH, word
from tui.store.job import Job

_SHOWN = 5


class ConfirmCancel(ModalScreen[bool]):
    """Asks whether jobs are to be cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")
    AUTO_FOCUS = "#no"
    CSS = """
    ConfirmCancel { align: center middle; background: $background 60%; }
    ConfirmCancel > Vertical { width: 72; max-width: 95%; height: auto; padding: 1 2;
                               border: round $warning; background: $surface; border-title-color: $warning;
                               border-title-style: bold; }
    ConfirmCancel Static { width: 1fr; height: auto; }
    ConfirmCancel .commands { margin: 1 0; padding: 0 1; color: $success; background: $panel; }
    ConfirmCancel .hint { color: $foreground 60%; }
    ConfirmCancel Horizontal { height: 1; align-horizontal: right; }
    ConfirmCancel Button { margin: 0 0 0 2; height: 1; border: none; min-width: 16; }
    ConfirmCancel Button:focus { text-style: bold; background: $primary; color: $background; }
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__()
        self._jobs = jobs

    def compose(self) -> ComposeResult:
        """What will happen, how else it could be done, and two buttons."""
        some = self._jobs[:_SHOWN]
        more = len(self._jobs) - len(some)
        lines = [f"{JOB_GLYPH[j.state]} {clean(j.test or j.job_id)}  ({word(j.state)})" for j in some]
        commands = [f"$ qgjob cancel {clean(j.job_id)}" for j in some]
        if more:
            lines.append(f"… and {more} more")
            commands.append(f"… and {more} more")
        one = len(self._jobs) == 1
        with Vertical() as box:
            box.border_title = "Cancel this job?" if one else f"Cancel {len(self._jobs)} jobs?"
            yield Static(Content("\n".join(lines)))
            yield Static(Content("\n".join(commands)), classes="commands")
            with Horizontal():
                yield Button("Keep  n", id="no")
                yield Button("Cancel it  y" if one else "Cancel them  y", id="yes", variant="error")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was clicked."""
        self.dismiss(event.button.id == "yes")

    def action_confirm(self) -> None:
        """Do it."""
        self.dismiss(True)

    def action_refuse(self) -> None:
        """Leave everything as it is."""
        self.dismiss(False)
