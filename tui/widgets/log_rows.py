"""How the lines of a log stand in the rows of the screen: one each, or several where they are wrapped.

A place is a position and which part of its line; without wrapping every line is one part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.widgets.log_lines import parts_of

if TYPE_CHECKING:
    from tui.store.log import LogBuffer
    from tui.store.log_search import AllLines, LogMatches

Place = tuple[int, int]


class LogRows:
    """The rows of a log, as it is now, for a width in cells; None: nothing is wrapped."""

    def __init__(self, buffer: LogBuffer, lines: AllLines | LogMatches, room: int | None) -> None:
        self._buffer = buffer
        self._lines = lines
        self._room = room

    def parts(self, at: int) -> int:
        """How many rows the line of a position takes."""
        if self._room is None:
            return 1
        return parts_of(self._buffer.line(self._lines.number(at)), self._room)

    def held(self, place: Place) -> Place:
        """The nearest place that there is: lines go, and in another width they have other parts."""
        at = max(self._lines.first, min(place[0], self._lines.end - 1))
        if at != place[0] or self._lines.end <= self._lines.first:
            return (max(at, self._lines.first), 0)
        return (at, min(place[1], self.parts(at) - 1))

    def forward(self, place: Place, rows: int) -> Place:
        """So many rows on, at most to the last."""
        at, part = place
        end = self._lines.end
        if self._room is None:
            return (max(at, min(at + rows, end - 1)), 0)
        while at < end:
            left = self.parts(at) - 1 - part
            if rows <= left or at == end - 1:
                return (at, part + min(rows, left))
            rows -= left + 1
            at, part = at + 1, 0
        return place

    def back(self, place: Place, rows: int) -> Place:
        """So many rows back, at most to the first."""
        at, part = place
        first = self._lines.first
        if self._room is None:
            return (max(first, at - rows), 0)
        while rows > part and at > first:
            rows -= part + 1
            at -= 1
            part = self.parts(at) - 1
        return (at, max(0, part - rows))

    def page(self, place: Place, height: int) -> list[Place]:
        """What stands in so many rows from a place on."""
        at, part = place
        end = self._lines.end
        if self._room is None:
            return [(position, 0) for position in range(at, min(at + height, end))]
        places: list[Place] = []
        while at < end and len(places) < height:
            places += [(at, p) for p in range(part, self.parts(at))]
            at, part = at + 1, 0
        return places[:height]

    def last_page(self, height: int) -> Place:
        """Where the last page begins: its last row is the end of the last line."""
        end = self._lines.end
        if end <= self._lines.first:
            return (self._lines.first, 0)
        return self.back((end - 1, self.parts(end - 1) - 1), height - 1)
