"""Lines to be drawn, as plain data: pieces of text, each with the names of its inks.

What an ink looks like is decided by the theme, in `tui.widgets.inks`. A name is one word or
several: `"bold bad"`.
"""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len, set_cell_size

from tui.draw.clean import clean

Span = tuple[str, str]
Line = tuple[Span, ...]

ELLIPSIS: Final = "…"
_LEAST_OF_BOTH: Final = 6
"""Cells that are enough for two ends; in fewer the beginning says more."""


def width_of(line: Line) -> int:
    """How many cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def fit(
    text: str, width: int, *, right: bool = False, keep_end: bool = False, keep_both: bool = False
) -> str:
    """A foreign text made harmless, cut or padded to exactly `width` cells.

    `keep_end` cuts at the front: the end of a path says more than its beginning. `keep_both` cuts in the
    middle: names of builds and slots are told apart by their ends, and recognised by their beginnings.
    """
    if width <= 0:
        return ""
    text = clean(text)
    size = len(text) if text.isascii() else cell_len(text)
    if size < width:
        return " " * (width - size) + text if right else text + " " * (width - size)
    if size == width:
        return text
    if keep_both and width > _LEAST_OF_BOTH:
        begin = (width - 1) // 2
        return set_cell_size(text, begin) + _end_of(text, width - begin)
    if keep_end:
        return _end_of(text, width)
    return set_cell_size(text, width - 1) + ELLIPSIS


def short(text: str, most: int, *, keep_end: bool = False, keep_both: bool = False) -> str:
    """A foreign text made harmless, cut to at most so many cells; how, see `fit`."""
    text = clean(text)
    return fit(text, min(most, cell_len(text)), keep_end=keep_end, keep_both=keep_both)


def _end_of(text: str, width: int) -> str:
    cut = max(0, len(text) - width)
    while cell_len(text[cut:]) > width - 1:
        cut += 1
    return set_cell_size(ELLIPSIS + text[cut:], width)


def pad(line: Line, width: int) -> Line:
    """A line brought to exactly `width` cells; what is too much is cut."""
    size = width_of(line)
    if size == width:
        return line
    if size < width:
        return (*line, (" " * (width - size), ""))
    return crop(line, width)


def changed_cells(old: Line, new: Line, width: int) -> tuple[int, int] | None:
    """The range of cells in which two lines differ, on a screen of that width; None if they do not."""
    if old == new:
        return None
    before = 0
    while before < min(len(old), len(new)) and old[before] == new[before]:
        before += 1
    begin = width_of(old[:before])
    size = width_of(old)
    if size != width_of(new):
        return (min(begin, width), width) if begin < width else None
    behind = 0
    while behind < min(len(old), len(new)) - before and old[-1 - behind] == new[-1 - behind]:
        behind += 1
    end = min(width, size - width_of(old[len(old) - behind :]))
    return (begin, end) if begin < end else None


def crop(line: Line, width: int, start: int = 0) -> Line:
    """The cells from `start` on, at most `width` of them; a wide character cut in two is a space."""
    out: list[Span] = []
    at = 0
    stop = start + width
    if width <= 0:
        return ()
    for text, ink in line:
        size = len(text) if text.isascii() else cell_len(text)
        if at + size <= start or at >= stop:
            at += size
            continue
        if at >= start and at + size <= stop:
            out.append((text, ink))
        elif text.isascii():
            out.append((text[max(0, start - at) : stop - at], ink))
        else:
            out.append((_cells(text, start - at, stop - at), ink))
        at += size
    return tuple(out)


def _cells(text: str, start: int, stop: int) -> str:
    out: list[str] = []
    at = 0
    for character in text:
        size = cell_len(character)
        if at >= start and at + size <= stop and (size or out):
            out.append(character)
        elif at < start < at + size or at < stop < at + size:
            out.append(" ")
        at += size
    return "".join(out)


def ends(left: Line, right: Line, width: int) -> Line:
    """One line against the left edge and one against the right; the left one gives way."""
    room = max(0, width - width_of(right))
    return (*pad(left, room), *right) if room else crop(right, width)
