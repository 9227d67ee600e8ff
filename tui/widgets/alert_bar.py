"""The alerts, a line each, only while there are any; what there is no room for is counted."""

from __future__ import annotations

from typing import Final

from textual import events
from textual.message import Message

from tui.draw.spans import Line, ends, fit
from tui.draw.states import ALERT_GLYPH, ALERT_INK
from tui.store.alerts import Alert, alerts_of
from tui.store.store import Store
from tui.widgets.canvas import Canvas

MOST: Final = 5
MOST_IF_SHORT: Final = 2
SHORT: Final = 34
"""On a screen of fewer lines the tables need them more."""
_HINT: Final = " ! what to do"
_HINT_FROM: Final = 60


class AlertBar(Canvas):
    """Takes no room while all is well."""

    DEFAULT_CSS = "AlertBar { height: auto; padding: 0 1; background: $panel; }"

    class Clicked(Message):
        """Somebody wants to know more."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._alerts: list[Alert] = []
        self._lines = 0

    def sync(self) -> None:
        """Take the alerts of now; another number of them takes another height."""
        self._alerts = alerts_of(self._store)
        self.display = bool(self._alerts)
        lines = min(len(self._alerts), self._most)
        if lines != self._lines:
            self._lines = lines
            self._drawn = None
            self.refresh(layout=True)
        super().sync()

    @property
    def _most(self) -> int:
        short = self.is_attached and self.screen.size.height < SHORT
        return MOST_IF_SHORT if short else MOST

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """A line each, as far as there is room."""
        return max(1, min(len(self._alerts), self._most))

    def on_click(self, event: events.Click) -> None:
        """Show all of them."""
        event.stop()
        self.post_message(self.Clicked())

    def draw(self, width: int, height: int) -> list[Line]:
        """The lines."""
        shown = self._alerts[: max(1, height)]
        left_out = len(self._alerts) - len(shown)
        lines: list[Line] = []
        for number, alert in enumerate(shown):
            hint = _HINT if not number and width >= _HINT_FROM else ""
            if left_out and number == len(shown) - 1:
                hint = f" and {left_out} more: !"
            room = max(1, width - 2 - len(hint))
            ink = ALERT_INK[alert.level]
            text: Line = ((f"{ALERT_GLYPH[alert.level]} ", ink), (fit(alert.text, room), ink))
            lines.append(ends(text, ((hint, "dim"),), width) if hint else text)
        return lines
