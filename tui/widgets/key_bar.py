"""The bottom line: the keys of this moment, as many as there is room for, the one that tells all always."""

from __future__ import annotations

from typing import Final, NamedTuple

from textual import events
from textual.screen import Screen

from tui.actions.bindings import ACTIONS
from tui.draw.spans import Line, Span, width_of
from tui.widgets.canvas import Canvas

_GAP: Final = 2
_SPARE: Final = frozenset(action.id for action in ACTIONS if action.spare)


class Key(NamedTuple):
    """One key, and what it does."""

    key: str
    display: str
    """As people write it."""
    label: str
    help: str
    action: str
    enabled: bool
    everywhere: bool
    """Whether it is the app's, and no screen's or table's."""
    spare: bool
    """Whether it stands there only where the others leave room."""

    @property
    def width(self) -> int:
        """How many cells it takes, without the gap behind it."""
        return width_of(((self.display, ""), (self.label, ""))) + 1


class KeyBar(Canvas):
    """Says anew what can be done whenever that may have changed; a click does it."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; padding: 0 1; background: $footer-background; }"

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Key] = []
        """The keys that stand there."""

    def on_mount(self) -> None:
        """Hear when other keys are there, or other things can be done."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """The line."""
        self.shown = _fitting(self._keys(), width)
        line: list[Span] = []
        for key in self.shown:
            line += [
                (" " * _GAP if line else "", ""),
                (key.display, "key" if key.enabled else "off"),
                (f" {key.label}", "wait" if key.enabled else "off"),
            ]
        return [tuple(line)]

    def on_click(self, event: events.Click) -> None:
        """A click on a key presses it; of one that is greyed out that says why."""
        event.stop()
        key = self._key_at(event)
        if key is not None:
            self.app.simulate_key(key.key)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Say in a sentence what the key under the mouse does."""
        key = self._key_at(event)
        said = key.help if key is not None else None
        if said != self.tooltip:
            self.tooltip = said

    def _changed(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self.sync()

    def _key_at(self, event: events.MouseEvent) -> Key | None:
        offset = event.get_content_offset(self)
        at = 0
        for key in self.shown if offset is not None else ():
            if offset is not None and at <= offset.x < at + key.width:
                return key
            at += key.width + _GAP
        return None

    def _keys(self) -> list[Key]:
        keys: dict[str, Key] = {}
        for node, binding, enabled, tooltip in self.screen.active_bindings.values():
            if binding.show and binding.action not in keys:
                display = self.app.get_key_display(binding)
                said = tooltip or binding.description
                keys[binding.action] = Key(
                    binding.key,
                    display,
                    binding.description,
                    said,
                    binding.action,
                    enabled,
                    node is self.app,
                    binding.id in _SPARE,
                )
        return list(keys.values())


def _fitting(keys: list[Key], width: int) -> list[Key]:
    """Those that there is room for: what everybody knows goes first, the key to all others never."""

    def rank(place: int) -> tuple[bool, bool, bool, int]:
        key = keys[place]
        return (not key.spare, key.action != "leave", key.everywhere, -place)

    kept = set(range(len(keys)))
    for place in sorted((p for p in kept if keys[p].action != "help"), key=rank):
        if sum(keys[p].width for p in kept) + _GAP * (len(kept) - 1) <= width:
            break
        kept.discard(place)
    return [key for place, key in enumerate(keys) if place in kept]
