"""Lines that were drawn go at once when others take their place, and no more of them is written than changed.

Textual's `Strip` remembers how it was cut, and one that is cut nowhere remembers itself: only the garbage
collector would find it, and at twenty draws a second of sixty lines that is most of what it finds.

Of a line of which some cells changed, Textual writes all before them as well: where ages tick at the right
edge, all of every row each second, which a slow connection does not bear. Of a character that is two cells
wide both are written: a blank instead of one would take the other off the screen.

Textual remembers the colours of the last 1,024 widgets by what each has drawn, so none of that goes when a
screen is closed: 150 KiB for each look at the help. They are mixed anew in no time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from rich.cells import get_character_cell_size
from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate
from textual._styles_cache import StylesCache
from textual.strip import Strip

_divide: Final = Strip.divide


def _divide_uncached(self: Strip, cuts: Iterable[int]) -> Sequence[Strip]:
    """As Textual's, but what is not cut is not remembered."""
    cuts = list(cuts)
    return [self] if cuts == [self.cell_length] else _divide(self, cuts)


def _render_changed_cells(self: ChopsUpdate, console: Console) -> str:
    """As Textual's, but cut on both sides."""
    written: list[str] = []
    for y, begin, end in self.spans:
        for edge, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
            first, last = max(begin, x), min(end, edge)
            if strip is not None and first < last:
                if (first, last) == (x, edge):
                    cut = strip
                else:
                    text = strip.text
                    first, last = x + _edge(text, first - x, up=False), x + _edge(text, last - x, up=True)
                    cut = strip.crop(first - x, last - x)
                written += [Control.move_to(first, y).segment.text, cut.render(console)]
    return "".join(written)


def _edge(text: str, cell: int, *, up: bool) -> int:
    """Where to cut at a cell, or before it or behind it if a character lies across."""
    if text.isascii():
        return cell
    at = 0
    for char in text:
        if at >= cell:
            break
        before, at = at, at + get_character_cell_size(char)
        if before < cell < at:
            return at if up else before
    return cell


def apply_patches() -> None:
    """Let no line refer to itself from now on, none stay when its widget is gone, and write what changed."""
    Strip.divide = _divide_uncached
    ChopsUpdate.render_segments = _render_changed_cells
    StylesCache.get_inner_outer = lru_cache(0)(StylesCache.get_inner_outer.__wrapped__)
