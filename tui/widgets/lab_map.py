"""The lab as a map: a cell a slot, its glyph telling the state, its colour the build that is on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tui.draw.spans import Line, fit, pad, short
from tui.draw.states import SLOT_GLYPH
from tui.store.health import lows
from tui.store.store import Store
from tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.store.lab import AgentRecord

BUILD_INKS: Final = ("good", "busy", "accent", "next", "text", "good reverse", "busy reverse", "next reverse")
"""Each another look, also of a terminal's own sixteen colours, and none that says that something is wrong."""
_NAME = 14
_BETWEEN = 3
_FEW: Final = 6
"""So many agents stand below each other before there are columns."""
_LOW: Final = "▾"
_HELD = {"lost": "bad", "quarantined": "bad"}


class LabMap(Canvas):
    """Agents as rows of cells, and which colour is which build."""

    def __init__(self, store: Store, widget_id: str) -> None:
        super().__init__(widget_id)
        self._store = store
        self._build_inks: dict[str, str] = {}

    def wanted_height(self, width: int) -> int:
        """As many lines as it would like at that width."""
        return len(self._map(width)) + 1

    def draw(self, width: int, height: int) -> list[Line]:
        """The cells of each agent, then the legend."""
        legend = self._legend(width)
        rows = self._map(width)
        room = max(0, height - 1)
        shown = rows[:room]
        if len(rows) > room and shown:
            shown[-1] = ((fit(f"… and {len(rows) - room + 1} more lines", width), "dim"),)
        return [*shown, legend]

    def _map(self, width: int) -> list[Line]:
        """The agents below each other; many of them in columns, as far as their slots leave room."""
        agents = self._store.lab.agents()
        each = _NAME + 2 * max((len(record.beat.slots) for record in agents), default=0)
        columns = max(1, min((width + _BETWEEN) // (each + _BETWEEN), -(-len(agents) // _FEW)))
        rows = -(-len(agents) // columns)
        if columns == 1:
            return [line for record in agents for line in self._agent(record, width)]
        parts = [pad(line, each + _BETWEEN) for record in agents for line in self._agent(record, each)]
        return [tuple(span for part in parts[row::rows] for span in part) for row in range(rows)]

    def _agent(self, record: AgentRecord, width: int) -> Iterator[Line]:
        now = self._store.clock.monotonic()
        per_line = max(1, (width - _NAME) // 2)
        slots = record.beat.slots
        for first in range(0, max(1, len(slots)), per_line):
            cells: list[tuple[str, str]] = [(fit(record.name if not first else "", _NAME), "dim")]
            for slot in slots[first : first + per_line]:
                state = record.slot_state(slot, now)
                build = slot.installed[0].app_version_id if slot.installed else ""
                ink = _HELD.get(state) or (self._ink(build) if build else "faint")
                low = bool(lows(slot.health))
                cells += [(_LOW if low else " ", "bad"), (SLOT_GLYPH[state], ink)]
            yield tuple(cells)

    def _legend(self, width: int) -> Line:
        line: list[tuple[str, str]] = [(fit("colour: build", _NAME), "faint")]
        used = _NAME
        if any(lows(slot.health) for record in self._store.lab.agents() for slot in record.beat.slots):
            text = f" {_LOW} low battery or storage "
            line.append((text, "bad"))
            used += len(text)
        for build, ink in self._build_inks.items():
            text = f" ■ {short(build, 18)} "
            if used + len(text) > width:
                break
            line.append((text, ink))
            used += len(text)
        return tuple(line)

    def _ink(self, build: str) -> str:
        inks = self._build_inks
        if build not in inks:
            while len(inks) >= len(BUILD_INKS):
                del inks[next(iter(inks))]
            free = [ink for ink in BUILD_INKS if ink not in inks.values()]
            inks[build] = free[0]
        return inks[build]
