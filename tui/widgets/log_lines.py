"""One line of a log as it is drawn: gutter, time, whose it is, its own colours, and what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.draw.ansi import Piece, parse
from tui.draw.spans import fit
from tui.draw.times import moment
from tui.store.log_page import LogLine
from tui.widgets.inks import Inks, look_style, style_of

_GUTTER: Final = {"out": ("  ", ""), "err": ("▌ ", "bad"), "sys": ("▌ ", "accent")}
_SOURCE_INKS: Final = ("busy", "good", "prep", "lab", "next", "accent")
LABEL_WIDTH: Final = 14
TIME_WIDTH: Final = 9


class Manner(NamedTuple):
    """How lines are shown."""

    times: bool
    wrap: bool
    aside: int
    labels: tuple[str, ...]
    """Whose lines they are; empty while there is but one job."""
    pattern: re.Pattern[str] | None
    current: int
    """The number of the line that was found last."""

    @property
    def head_width(self) -> int:
        """What stands before the text."""
        return 2 + (TIME_WIDTH if self.times else 0) + (LABEL_WIDTH if self.labels else 0)


def body_of(line: LogLine, manner: Manner, ground: Style, inks: Inks) -> Strip:
    """The whole text of a line, however long, with what was found in it."""
    base = ground + inks["accent"] if line.stream == "sys" else ground
    pieces = parse(line.text, line.look)
    if manner.pattern is None:
        return Strip([Segment(text, base + look_style(look)) for text, look in pieces])
    found = inks["found"]
    return Strip(
        [
            Segment(text, base + look_style(look) + found if hit else base + look_style(look))
            for (text, look), hit in marked(pieces, manner.pattern)
        ]
    )


def marked(pieces: Sequence[Piece], pattern: re.Pattern[str]) -> list[tuple[Piece, bool]]:
    """The pieces, cut where something was found begins or ends."""
    whole = "".join(text for text, _ in pieces)
    edges = [(m.start(), m.end()) for m in pattern.finditer(whole) if m.end() > m.start()]
    if not edges:
        return [(piece, False) for piece in pieces]
    out: list[tuple[Piece, bool]] = []
    at = 0
    for text, look in pieces:
        stop = at + len(text)
        cuts = sorted({at, stop, *(e for pair in edges for e in pair if at < e < stop)})
        for a, b in pairwise(cuts):
            hit = any(first <= a and b <= last for first, last in edges)
            out.append(((whole[a:b], look), hit))
        at = stop
    return out


def head_of(
    line: LogLine, number: int, part: int, manner: Manner, ground: Style, inks: Inks
) -> list[Segment]:
    """What stands before the text of a line, or before a part of a wrapped one."""
    gutter, ink = _GUTTER[line.stream]
    if number == manner.current and not part:
        first = Segment("▶ ", ground + inks["mark"])
    elif line.continued or part:
        first = Segment("↪ ", ground + inks["faint"])
    else:
        first = Segment(gutter, ground + style_of(inks, ink))
    head = [first]
    if manner.times:
        text = moment(line.at) + " " if not part else " " * TIME_WIDTH
        head.append(Segment(text, ground + inks["dim"]))
    if manner.labels:
        label = fit(manner.labels[line.source], LABEL_WIDTH - 1, keep_end=True) + " "
        head.append(
            Segment(
                label if not part else " " * LABEL_WIDTH,
                ground + inks[_SOURCE_INKS[line.source % len(_SOURCE_INKS)]],
            )
        )
    return head


def row_of(
    line: LogLine, number: int, part: int, manner: Manner, width: int, bar: int, ground: Style, inks: Inks
) -> Strip:
    """A row of the screen."""
    head = head_of(line, number, part, manner, ground, inks)
    body = body_of(line, manner, ground, inks)
    room = max(0, width - bar - manner.head_width)
    if manner.wrap:
        edges = [*breaks_of(line, room), body.cell_length]
        shown = body.crop(edges[part], edges[part + 1]) if part + 1 < len(edges) else Strip([])
    else:
        aside = manner.aside
        shown = body.crop(aside, aside + room)
        if body.cell_length > aside + room > 0:
            dots = Segment("…", ground + inks["faint"])
            shown = Strip([*body.crop(aside, aside + room - 1), dots])
    return Strip([*head, *shown]).adjust_cell_length(width, ground)


def parts_of(line: LogLine, room: int) -> int:
    """How many rows a line takes when it is wrapped."""
    return len(breaks_of(line, room))


def breaks_of(line: LogLine, room: int) -> list[int]:
    """The cells at which the rows of a wrapped line begin: no wide character is cut in two."""
    if room <= 1 or len(line.data) <= room:
        return [0]
    text = "".join(piece for piece, _ in parse(line.text, line.look))
    if text.isascii():
        return list(range(0, max(1, len(text)), room))
    breaks = [0]
    at = 0
    for character in text:
        width = cell_len(character)
        if at + width > breaks[-1] + room:
            breaks.append(at)
        at += width
    return breaks


def found_at(line: LogLine, pattern: re.Pattern[str]) -> tuple[int, int] | None:
    """The first and the last cell, that one not included, of what was found in a line; or None."""
    text = "".join(piece for piece, _ in parse(line.text, line.look))
    found = next((m for m in pattern.finditer(text) if m.end() > m.start()), None)
    return None if found is None else (cell_len(text[: found.start()]), cell_len(text[: found.end()]))
