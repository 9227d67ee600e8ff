"""Everything the dashboard can do, in one table: keys, footer, help and palette come from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from textual.binding import Binding, BindingType

Scope = Literal["app", "overview", "job", "table", "marks", "log", "dialog", "help"]

SCOPE_TITLES: Final[dict[Scope, str]] = {
    "app": "Everywhere",
    "overview": "Overview",
    "job": "A job",
    "table": "In a table",
    "marks": "In the job table",
    "log": "In a log",
    "dialog": "In a dialog",
    "help": "In the help",
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done, and where."""

    scope: Scope
    name: str
    """The action as Textual calls it: the method `action_<name>`, with arguments if it has any."""
    keys: str
    """Textual's names of the keys, separated by commas; a user's keymap may change them."""
    label: str
    """Two words at most, for the footer."""
    help: str
    """A sentence, for the help and the palette."""
    shown: bool = False
    """Whether the footer has room for it."""
    mutates: bool = False
    """Whether it changes something in the system: hidden under `--read-only`."""
    palette: bool = True
    """Whether the command palette offers it: moving a cursor is nothing to search for."""
    priority: bool = False
    """Whether it is done before the next key is looked at: what is typed on goes where it leads."""
    display: str = ""
    """The keys as people write them, where Textual's own words are clumsy."""

    @property
    def id(self) -> str:
        """The name under which a keymap finds it."""
        return f"{self.scope}.{self.name}"

    @property
    def method(self) -> str:
        """The method that does it."""
        return f"action_{self.name.partition('(')[0]}"


ACTIONS: Final[tuple[Action, ...]] = (
    Action("app", "help", "question_mark,f1", "Help", "Show all keys.", shown=True, display="?"),
    Action(
        "app",
        "command_palette",
        "ctrl+p,colon",
        "Palette",
        "Search for a command.",
        palette=False,
        display=": ^p",
    ),
    Action("app", "next_theme", "T", "Theme", "Change to the next theme: dark, light, the terminal's own."),
    Action("app", "save_picture", "P", "Picture", "Save the screen as an SVG picture."),
    Action("app", "read_again", "R", "Read again", "Read everything again from the scheduler."),
    Action("app", "leave", "q,ctrl+q", "Quit", "Leave the dashboard; jobs go on.", shown=True, display="q"),
    Action("overview", "panel('queue')", "1", "Queue", "Go to the queue; again: show it alone."),
    Action(
        "overview",
        "panel('agents')",
        "2",
        "Agents",
        "Go to the agents and their slots; again: show them alone.",
    ),
    Action("overview", "panel('groups')", "3", "Groups", "Go to the groups; again: show them alone."),
    Action("overview", "panel('jobs')", "4", "Jobs", "Go to the jobs; again: show them alone."),
    Action("overview", "zoom", "z", "Zoom", "Show the panel alone, or all of them.", shown=True),
    Action(
        "overview",
        "filter",
        "slash",
        "Filter",
        "Filter the jobs: words, state:failed, build:v1*.",
        shown=True,
        priority=True,
        display="/",
    ),
    Action(
        "overview",
        "order",
        "o",
        "Order",
        "Order the jobs: latest first, at work, newest, most urgent.",
        shown=True,
    ),
    Action(
        "overview",
        "cancel",
        "c",
        "Cancel",
        "Cancel the job, or the marked ones; asks first.",
        shown=True,
        mutates=True,
    ),
    Action("overview", "copy", "y", "Copy", "Copy the id of the job, over SSH as well."),
    Action(
        "overview",
        "back",
        "escape",
        "Back",
        "Undo one step: the filter, the marks, the zoom.",
        palette=False,
        display="esc",
    ),
    Action("job", "cancel", "c", "Cancel", "Cancel the job; asks first.", shown=True, mutates=True),
    Action("job", "copy", "y", "Copy", "Copy the id of the job, over SSH as well.", shown=True),
    Action(
        "job", "next_job", "n,right_square_bracket", "Next", "Go to the next job of the table.", display="n"
    ),
    Action("job", "previous_job", "N,left_square_bracket", "Previous", "Go to the job before.", display="N"),
    Action("job", "back", "escape,backspace", "Back", "Back to the overview.", shown=True, display="esc"),
    Action("table", "open", "enter", "Open", "Open what the cursor stands on.", shown=True, display="⏎"),
    Action("table", "cursor_up", "up,k", "Up", "One row up.", palette=False, display="↑ k"),
    Action("table", "cursor_down", "down,j", "Down", "One row down.", palette=False, display="↓ j"),
    Action("table", "page_up", "pageup,ctrl+b", "Page up", "One page up.", palette=False),
    Action("table", "page_down", "pagedown,ctrl+f", "Page down", "One page down.", palette=False),
    Action(
        "table",
        "first",
        "home,g",
        "Top",
        "To the first row, and stay on it whatever comes there.",
        palette=False,
        display="home g",
    ),
    Action("table", "last", "end,G", "End", "To the last row.", palette=False, display="end G"),
    Action("marks", "mark", "space", "Mark", "Mark the job, or take the mark off.", shown=True),
    Action("marks", "unmark_all", "u", "Unmark", "Take all marks off."),
    Action("log", "follow", "f", "Follow", "Follow the end of the log, or stop.", shown=True),
    Action("log", "times", "t", "Times", "Show when each line came, or not.", shown=True),
    Action("log", "line_up", "up,k", "Up", "One line up; stops following.", palette=False, display="↑ k"),
    Action("log", "line_down", "down,j", "Down", "One line down.", palette=False, display="↓ j"),
    Action("log", "log_page_up", "pageup,ctrl+b", "Page up", "One page up; stops following.", palette=False),
    Action("log", "log_page_down", "pagedown,ctrl+f", "Page down", "One page down.", palette=False),
    Action(
        "log",
        "log_first",
        "home,g",
        "Top",
        "To the oldest line that is kept.",
        palette=False,
        display="home g",
    ),
    Action("log", "log_last", "end,G", "End", "To the end, and follow it.", palette=False, display="end G"),
    Action("log", "aside(-8)", "left,h", "Left", "A little to the left.", palette=False, display="← h"),
    Action("log", "aside(8)", "right,l", "Right", "A little to the right.", palette=False, display="→ l"),
    Action("dialog", "confirm", "y", "Yes", "Do it.", shown=True, palette=False),
    Action(
        "dialog",
        "refuse",
        "n,escape,q",
        "No",
        "Leave everything as it is.",
        shown=True,
        palette=False,
        display="n esc",
    ),
    Action(
        "help",
        "close",
        "escape,q,question_mark,f1,enter",
        "Close",
        "Close the help.",
        palette=False,
        display="esc",
    ),
)


def actions_of(*scopes: Scope) -> list[Action]:
    """The actions of some scopes, in the order of the table."""
    return [action for action in ACTIONS if action.scope in scopes]


def bindings(*scopes: Scope) -> list[BindingType]:
    """The key bindings of some scopes."""
    return [
        Binding(
            action.keys,
            action.name,
            action.label,
            show=action.shown,
            key_display=action.display or None,
            tooltip=action.help,
            priority=action.priority,
            id=action.id,
        )
        for action in actions_of(*scopes)
    ]


def mutating(name: str) -> bool:
    """Whether an action of that name changes something in the system."""
    return any(action.mutates and action.name.partition("(")[0] == name for action in ACTIONS)


def key_text(action: Action) -> str:
    """The keys of an action as the help shows them."""
    if action.display:
        return action.display
    text = action.keys.replace(",", " ")
    for word, short in (("pageup", "pgup"), ("pagedown", "pgdn"), ("ctrl+", "^")):
        text = text.replace(word, short)
    return text
