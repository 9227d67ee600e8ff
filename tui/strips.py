"""Lines that were drawn go at once when others take their place.

Textual's `Strip` remembers how it was cut, and one that is cut nowhere remembers itself: only the garbage
collector would find it, and at twenty draws a second of sixty lines that is most of what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from textual.strip import Strip

_divide: Final = Strip.divide


def _divide_or_not(self: Strip, cuts: Iterable[int]) -> Sequence[Strip]:
    """As Textual's, but what is not cut is not remembered."""
    cuts = list(cuts)
    return [self] if cuts == [self.cell_length] else _divide(self, cuts)


def let_go() -> None:
    """Let no line refer to itself from now on."""
    Strip.divide = _divide_or_not
