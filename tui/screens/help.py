"""All keys, from the table of actions; what the glyphs mean; how to filter."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from textwrap import wrap
from typing import Final

from tui.actions.bindings import SCOPE_TITLES, Scope, actions_of, key_text
from tui.actions.command_line import COMMANDS
from tui.draw.spans import Line, fit, pad, width_of
from tui.draw.states import JOB_GLYPH, JOB_INK, SLOT_GLYPH, SLOT_INK, word
from tui.screens.reading import Reading

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


class HelpScreen(Reading):
    """The help; `about` is the name of the screen whose keys are told first."""

    DEFAULT_CSS = "HelpScreen > VerticalScroll { max-width: 130; max-height: 94%; }"

    def __init__(self, about: str | None = None, *, read_only: bool) -> None:
        super().__init__("Keys", partial(_help_lines, about, read_only))


def _help_lines(about: str | None, read_only: bool, width: int) -> list[Line]:
    """All of it, in two columns where there is room."""
    first: tuple[Scope, ...] = _OF_SCREEN.get(about, ())
    left: tuple[Scope, ...] = (*first, *(scope for scope in _LEFT if scope not in first))
    right: tuple[Scope, ...] = tuple(scope for scope in _RIGHT if scope not in first)
    if width < _TWO_COLUMNS:
        keys = _keys((*left, *right), width, read_only=read_only)
        return [*keys, *_commands(width, read_only=read_only), *_legend(width), (), *_filters(width)]
    half = (width - 4) // 2
    columns = (
        [*_keys(left, half, read_only=read_only), *_filters(half)],
        [*_keys(right, half, read_only=read_only), *_commands(half, read_only=read_only), *_legend(half)],
    )
    return [(*pad(a, half), ("    ", ""), *pad(b, half)) for a, b in zip_longest(*columns, fillvalue=())]


def _keys(scopes: tuple[Scope, ...], width: int, *, read_only: bool) -> list[Line]:
    lines: list[Line] = []
    for scope in scopes:
        lines.append(((SCOPE_TITLES[scope], "bold accent"),))
        for action in actions_of(scope):
            if not (action.mutates and read_only):
                lines.extend(_entry(key_text(action), action.help, _KEYS, width))
        lines.append(())
    return lines


def _commands(width: int, *, read_only: bool) -> list[Line]:
    lines: list[Line] = [(("Commands", "bold accent"),)]
    for command in COMMANDS:
        if command.mutates and read_only:
            continue
        lines.extend(_entry(f":{command.name} {command.arguments}", command.help, _FILTER, width))
    return [*lines, ()]


def _legend(width: int) -> list[Line]:
    jobs = [(f"{JOB_GLYPH[state]} {word(state)}", JOB_INK[state]) for state in JOB_GLYPH]
    slots = [(f"{SLOT_GLYPH[state]} {state}", SLOT_INK[state]) for state in SLOT_GLYPH]
    return [(("Jobs and slots", "bold accent"),), *_flow(jobs, width), *_flow(slots, width)]


def _filters(width: int) -> list[Line]:
    return [
        (("Filters", "bold accent"),),
        *(line for text, said in _FILTERS for line in _entry(text, said, _FILTER, width)),
    ]


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
