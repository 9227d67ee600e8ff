"""Slots as timelines: colours where there are some, letters elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qgjob.demo.spans import Cell, Span, slots_in, timeline

if TYPE_CHECKING:
    from rich.text import Text

_COLOURS: Final = ("cyan", "magenta", "yellow", "green", "blue")
_FAILED: Final = "bold white on red"
_STEPS_S: Final = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Palette:
    """How each build looks. Without colours its letter is a capital while it is installed."""

    def __init__(self, versions: Sequence[str], *, colour: bool) -> None:
        self.colour = colour
        self._versions = list(versions)

    def style(self, version: str) -> str:
        """The colour of a build; empty without colours."""
        return _COLOURS[self._versions.index(version) % len(_COLOURS)] if self.colour else ""

    def glyph(self, cell: Cell | None) -> tuple[str, str]:
        """A character of a timeline and its style."""
        if cell is None:
            return ("·", "bright_black") if self.colour else (".", "")
        if cell.failed:
            return "✗" if self.colour else "!", _FAILED if self.colour else ""
        if self.colour:
            return "░" if cell.installing else "█", self.style(cell.version)
        letter = chr(ord("a") + self._versions.index(cell.version) % 26)
        return letter.upper() if cell.installing else letter, ""

    def legend(self) -> Text:
        """What the characters mean."""
        from rich.text import Text

        text = Text()
        for version in self._versions:
            text.append(*self.glyph(Cell(version, installing=False, failed=False))).append(f" {version}   ")
        first = self._versions[0]
        text.append(*self.glyph(Cell(first, installing=True, failed=False))).append(" installing   ")
        text.append(*self.glyph(Cell(first, installing=False, failed=True))).append(" failed")
        return text


def cell_seconds(seconds: float, width: int) -> float:
    """A round length of time for a character, so that `seconds` fit into `width` of them."""
    return next((step for step in _STEPS_S if seconds <= step * width), seconds / max(width, 1))


def rows(
    spans: Sequence[Span],
    slots: Sequence[str],
    palette: Palette,
    *,
    began: float,
    per_cell_s: float,
    width: int,
) -> list[Text]:
    """A line of characters for each slot."""
    from rich.text import Text

    lines: list[Text] = []
    for slot in slots:
        line = Text(no_wrap=True)
        own = [span for span in spans if span.slot == slot]
        for cell in timeline(own, began, per_cell_s, width):
            line.append(*palette.glyph(cell))
        lines.append(line)
    return lines


def chart(
    title: str, spans: Sequence[Span], palette: Palette, *, began: float, per_cell_s: float, width: int
) -> Text:
    """A title with a row for each slot below it."""
    from rich.text import Text

    text = Text(title, "bold" if palette.colour else "", no_wrap=True)
    slots = slots_in(spans)
    drawn = rows(spans, slots, palette, began=began, per_cell_s=per_cell_s, width=width)
    for number, line in enumerate(drawn, 1):
        text.append(f"\n  {number:>2} ").append(line)
    return text
