"""What is made of the table of actions: key bindings, lists for help and palette."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tui.actions.action import SCOPE_TITLES, Action, Scope
from tui.actions.table import ACTIONS

__all__ = ["ACTIONS", "SCOPE_TITLES", "Action", "Scope", "actions_of", "bindings", "key_text", "mutating"]


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
            show=action.shown or action.spare,
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
