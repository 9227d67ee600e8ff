"""What an action is: one thing that the dashboard can do, with its keys and its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Scope = Literal[
    "app",
    "overview",
    "job",
    "list",
    "runs",
    "run",
    "slots",
    "alerts",
    "table",
    "marks",
    "log",
    "logs",
    "dialog",
    "help",
]

SCOPE_TITLES: Final[dict[Scope, str]] = {
    "app": "Everywhere",
    "overview": "Overview",
    "job": "A job",
    "list": "Runs and slots",
    "runs": "Runs",
    "run": "A run",
    "slots": "Slots",
    "alerts": "Alerts",
    "table": "In a table",
    "marks": "In the job table",
    "log": "In a log",
    "logs": "Several logs",
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
    spare: bool = False
    """Whether it stands in the footer where all that is shown leaves room: the rest is found by `?`."""
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
