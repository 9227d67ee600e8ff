"""The alerts, a line each, only while there are any."""

from __future__ import annotations

from tui.draw.spans import Line, fit
from tui.store.alerts import Alert, alerts_of
from tui.store.store import Store
from tui.widgets.canvas import Canvas

_MOST = 4


class AlertBar(Canvas):
    """Takes no room while all is well."""

    DEFAULT_CSS = "AlertBar { height: auto; padding: 0 1; background: $panel; }"

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._alerts: list[Alert] = []

    def sync(self) -> None:
        """Take the alerts of now; another number of them takes another height."""
        before = len(self._alerts)
        self._alerts = alerts_of(self._store)[:_MOST]
        self.display = bool(self._alerts)
        if len(self._alerts) != before:
            self._drawn = None
            self.refresh(layout=True)
        super().sync()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """A line each."""
        return max(1, len(self._alerts))

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """The lines."""
        inks = {"bad": "bad", "warn": "prep"}
        return [
            (("▲ ", inks[alert.level]), (fit(alert.text, max(1, width - 2)), inks[alert.level]))
            for alert in self._alerts
        ]
