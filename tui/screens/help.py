"""All keys, from the table of actions; what the glyphs mean; how to filter."""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from tui.actions.bindings import SCOPE_TITLES, Scope, actions_of, bindings, key_text
from tui.actions.command_line import COMMANDS
from tui.draw.spans import Line, fit, pad, width_of
from tui.draw.states import JOB_GLYPH, JOB_INK, SLOT_GLYPH, SLOT_INK, word
from tui.widgets.canvas import Canvas

_KEYS = 12
_FILTER = 21
_TWO_COLUMNS = 100
_LEFT: tuple[Scope, ...] = ("overview", "app", "job", "list", "runs", "run", "slots", "alerts", "logs")
_RIGHT: tuple[Scope, ...] = ("table", "marks", "log", "dialog")
_OF_SCREEN: Final[dict[str | None, tuple[Scope, ...]]] = {
    "job": ("job", "log"),
    "logs": ("logs", "log"),
    "runs": ("runs", "list"),
    "run": ("run", "marks"),
    "slots": ("slots", "list"),
    "alerts": ("alerts",),
}
"""What is told first, by the screen that one was on."""
_FILTERS = (
    ("login", "in the test, build, organisation, id or slot"),
    ("state:failed", "also active, waiting, ended, bad; several: failed,errored"),
    ("build:v1* org:acme", "also test: run: job: agent: slot: reason: needs: runner:"),
    ("priority:>=8", "or high, medium, low"),
    ("is:flaky", "also retried, cancelling"),
    ("-test:login", "all but these"),
)


class HelpText(Canvas):
    """The text, in two columns where there is room."""

    DEFAULT_CSS = "HelpText { height: auto; }"

    def __init__(self, about: str | None, *, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only
        first: tuple[Scope, ...] = _OF_SCREEN.get(about, ())
        self._left: tuple[Scope, ...] = (*first, *(scope for scope in _LEFT if scope not in first))
        self._right: tuple[Scope, ...] = tuple(scope for scope in _RIGHT if scope not in first)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """As many lines as there are."""
        return len(self.draw(width, 0))

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """All of it."""
        if width < _TWO_COLUMNS:
            left = self._column(self._left + self._right, width)
            return [*left, *self._commands(width), *self._legend(width), (), *self._filters(width)]
        half = (width - 4) // 2
        left = [*self._column(self._left, half), *self._filters(half)]
        right = [*self._column(self._right, half), *self._commands(half), *self._legend(half)]
        rows = max(len(left), len(right))
        left += [()] * (rows - len(left))
        right += [()] * (rows - len(right))
        return [(*pad(a, half), ("    ", ""), *pad(b, half)) for a, b in zip(left, right, strict=True)]

    def _column(self, scopes: tuple[Scope, ...], width: int) -> list[Line]:
        lines: list[Line] = []
        for scope in scopes:
            lines.append(((SCOPE_TITLES[scope], "bold accent"),))
            for action in actions_of(scope):
                if action.mutates and self._read_only:
                    continue
                lines.extend(_entry(key_text(action), action.help, _KEYS, width))
            lines.append(())
        return lines

    def _commands(self, width: int) -> list[Line]:
        lines: list[Line] = [(("Commands", "bold accent"),)]
        for command in COMMANDS:
            lines.extend(_entry(f":{command.name} {command.arguments}", command.help, _FILTER, width))
        return [*lines, ()]

    def _legend(self, width: int) -> list[Line]:
        jobs = [(f"{JOB_GLYPH[state]} {word(state)}", JOB_INK[state]) for state in JOB_GLYPH]
        slots = [(f"{SLOT_GLYPH[state]} {state}", SLOT_INK[state]) for state in SLOT_GLYPH]
        return [
            (("Jobs and slots", "bold accent"),),
            *_flow(jobs, width),
            *_flow(slots, width),
        ]

    def _filters(self, width: int) -> list[Line]:
        return [
            (("Filters", "bold accent"),),
            *(line for text, said in _FILTERS for line in _entry(text, said, _FILTER, width)),
        ]


class HelpScreen(ModalScreen[None]):
    """The help."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")
    CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen > VerticalScroll { width: 90%; max-width: 130; height: auto; max-height: 94%; padding: 1 2;
                                  border: round $primary; background: $surface; border-title-color: $primary;
                                  border-subtitle-color: $foreground 55%; border-title-style: bold; }
    """

    def __init__(self, about: str | None = None, *, read_only: bool) -> None:
        super().__init__()
        self._about = about
        """The name of the screen whose keys are told first."""
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        """The text in a box."""
        with VerticalScroll() as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            yield HelpText(self._about, read_only=self._read_only)

    def action_close(self) -> None:
        """Close the help."""
        self.dismiss()


def _entry(key: str, text: str, key_width: int, width: int) -> list[Line]:
    """A key and what it does, on as many lines as that takes."""
    said = wrap(text, max(8, width - key_width - 1)) or [""]
    keys = [key, *[""] * (len(said) - 1)]
    return [((fit(k, key_width), "key"), (s, "")) for k, s in zip(keys, said, strict=True)]


def _flow(items: list[tuple[str, str]], width: int) -> list[Line]:
    lines: list[Line] = []
    line: Line = ()
    for text, ink in items:
        if line and width_of(line) + len(text) > width:
            lines.append(line)
            line = ()
        line = (*line, (text, ink), ("   ", ""))
    return [*lines, line] if line else lines
