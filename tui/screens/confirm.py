"""The question before something is changed, with the command that would do the same."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tui.actions.bindings import bindings
from tui.draw.clean import clean
from tui.operations.catalog import Operation

_SHOWN = 5
_FRAME = 6
"""Lines of the border and its padding, of what is wrong, and of the buttons."""
_ASKED = {"note": "a note for the others, if you like", "priority": "1 to 10, or high, medium, low"}


class Confirm(ModalScreen[Operation]):
    """Asks whether an operation is to be done; gives it back with what was said, or None."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")
    AUTO_FOCUS = "Input, #no"
    CSS = """
    Confirm { align: center middle; background: $background 60%; }
    Confirm > Vertical { width: 72; max-width: 95%; height: auto; padding: 1 2;
                         border: round $warning; background: $surface; border-title-color: $warning;
                         border-title-style: bold; }
    Confirm #about { height: auto; }
    Confirm Static { width: 1fr; height: auto; }
    Confirm Input { height: 1; border: none; padding: 0 1; margin: 0 0 1 0; background: $panel; }
    Confirm .commands { margin: 1 0; padding: 0 1; color: $success; background: $panel; }
    Confirm #wrong { color: $error; }
    Confirm Horizontal { height: 1; align-horizontal: right; }
    Confirm Button { margin: 0 0 0 2; height: 1; border: none; min-width: 16; }
    Confirm Button:focus { text-style: bold; background: $primary; color: $background; }
    """

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self._operation = operation
        self._about = VerticalScroll(id="about")
        self._commands = Static(id="commands", classes="commands")
        self._argument = (
            Input(id="argument", placeholder=_ASKED[operation.asks_for]) if operation.asks_for else None
        )
        self._count = Input(id="count", placeholder="how many they are") if operation.needs_count else None
        self._wrong = Static("", id="wrong", markup=False)

    def compose(self) -> ComposeResult:
        """What will happen, how else it could be done, what else is asked, and two buttons."""
        operation = self._operation
        with Vertical() as box:
            box.border_title = operation.title
            with self._about:
                yield Static(Content("\n".join(self._some_lines(operation.lines))))
                yield self._commands
            if self._argument is not None:
                yield self._argument
            if self._count is not None:
                yield Static(Content(f"These are many: type {len(operation.targets)} to go on."))
                yield self._count
            yield self._wrong
            with Horizontal():
                yield Button(f"Leave it  {'esc' if self._typed else 'n'}", id="no")
                yield Button(
                    f"{operation.confirm_label}  {'⏎' if self._typed else 'y'}", id="yes", variant="error"
                )

    def on_mount(self) -> None:
        """Show the commands."""
        self._show_commands()

    def on_resize(self) -> None:
        """However long the names are: what is typed and the buttons are in view, the names scroll."""
        below = _FRAME + 2 * (self._argument is not None) + 3 * (self._count is not None)
        self._about.styles.max_height = max(1, self.size.height - below)

    @property
    def _typed(self) -> bool:
        """Whether there is a line to type in: then `y` and `n` are letters, Enter says yes and Escape no."""
        return self._argument is not None or self._count is not None

    def on_input_changed(self) -> None:
        """The command says what was typed."""
        self._show_commands()

    def on_input_submitted(self) -> None:
        """Enter says yes."""
        self.action_confirm()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was clicked."""
        if event.button.id == "yes":
            self.action_confirm()
        else:
            self.action_refuse()

    def action_confirm(self) -> None:
        """Do it, if all is said that has to be."""
        operation = self._confirmed()
        wrong = operation.problem()
        if self._count is not None and self._count.value.strip() != str(len(operation.targets)):
            wrong = wrong or f"Type {len(operation.targets)}, or leave it with escape."
        if wrong:
            self._wrong.update(Content(wrong))
            return
        self.dismiss(operation)

    def action_refuse(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)

    def _confirmed(self) -> Operation:
        return (
            self._operation if self._argument is None else self._operation.with_argument(self._argument.value)
        )

    def _show_commands(self) -> None:
        operation = self._confirmed()
        commands = [f"$ {clean(operation.command(target))}" for target in operation.targets[:_SHOWN]]
        more = len(operation.targets) - len(commands)
        if more:
            commands.append(f"… and {more:,} more")
        self._commands.update(Content("\n".join(commands)))

    def _some_lines(self, lines: tuple[str, ...]) -> list[str]:
        some = [clean(line) for line in lines[:_SHOWN]]
        return [*some, f"… and {len(lines) - len(some):,} more"] if len(lines) > len(some) else some
