"""The top line: who we are, whether what is shown is live, and who reigns."""

from __future__ import annotations

from textual import events

from tui.draw.spans import Line, ends, fit, short
from tui.draw.states import ALERT_GLYPH, ALERT_INK
from tui.draw.times import moment
from tui.store.alerts import alerts_of
from tui.store.store import Store
from tui.widgets.canvas import Canvas

_GLYPH = {"good": "●", "busy": "◌", "bad": "▲"}


class StatusBar(Canvas):
    """One line; the connection's state is always in it."""

    DEFAULT_CSS = "StatusBar { height: 1; dock: top; padding: 0 1; background: $panel; }"

    def __init__(self, store: Store, *, read_only: bool, alerts: bool = True) -> None:
        super().__init__()
        self._store = store
        self._read_only = read_only
        self._tells_alerts = alerts
        """Whether to say how many there are; on the overview they stand below."""
        self._alerts: tuple[int, int, bool] = (-1, 0, False)
        """How many there were in a second, and whether one of them is bad."""

    def _alerted(self) -> tuple[str, str]:
        """How many alerts there are, looked at once a second, and the ink."""
        second = int(self._store.clock.monotonic())
        if self._alerts[0] != second:
            levels = [alert.level for alert in alerts_of(self._store)]
            self._alerts = (second, len(levels), "bad" in levels)
        _, number, bad = self._alerts
        said = "1 alert" if number == 1 else f"{number} alerts"
        level = "bad" if bad else "warn"
        return (f"{ALERT_GLYPH[level]} {said}: !  ", ALERT_INK[level]) if number else ("", "")

    def on_click(self, event: events.Click) -> None:
        """Show the alerts that are counted here."""
        if self._tells_alerts and self._alerted()[0]:
            event.stop()
            self.app.simulate_key("exclamation_mark")

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """The line."""
        store = self._store
        now = store.clock.monotonic()
        status = store.link.status(now)
        unled = store.link.leaderless_warning(now)
        chip = f" {_GLYPH[status.level]} {status.word} "
        left: list[tuple[str, str]] = [("qgjob", "bold key"), ("  ", ""), (chip, f"chip-{status.level}")]
        if status.detail:
            left.append((f" {status.detail}", "dim"))
        left.append(("  ", ""))
        if self._read_only:
            left += [("read-only", "prep"), ("  ", "")]
        if self._tells_alerts and (told := self._alerted())[0]:
            left.append(told)
        clock = moment(store.clock.now())
        right: list[tuple[str, str]] = []
        leader = store.overview.leader if store.overview else None
        if leader is not None and not unled and width >= 100:
            right += [("leader ", "dim"), (short(leader.replica, 24), "")]
            right += [(f" #{leader.epoch}  ", "dim")]
        if store.unreadable and width >= 70:
            right += [(f"{store.unreadable} unreadable  ", "bad")]
        right.append((clock, "dim"))
        used = sum(len(text) for text, _ in (*left, *right))
        room = width - used - 2
        if room > 8:
            wrong = store.link.behind_warning(now) or store.link.reason or store.link.query_error or unled
            said = wrong or store.link.server
            left.append((fit(said, min(room, len(said))), "bad" if wrong else "dim"))
        return [ends(tuple(left), tuple(right), width)]
