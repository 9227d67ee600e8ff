"""Colours of a log: SGR is understood, every other escape sequence is dropped.

What a job writes is hostile: an OSC 52 would write the operator's clipboard, cursor moves would
draw over the screen. So nothing of an escape sequence ever reaches the terminal; an SGR becomes
attributes, which the dashboard then writes in its own words. Hidden (8) and blinking (5) text is
shown as any other.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from rich.cells import cell_len

from tui.draw.clean import clean

TAB: Final = 8

# A string sequence (OSC, DCS, SOS, PM, APC) that is not ended within the line loses its introducer
# alone, so that it cannot hide what follows it.
_TOKEN: Final = re.compile(
    r"(?:\x1b\[|\x9b)(?P<params>[0-?]{0,256})[ -/]{0,16}(?P<final>[@-~])"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,512}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[\]PX^_\[]"
    r"|\x1b[ -/]{0,16}[0-~]?"
    r"|[\x90\x98\x9b\x9d-\x9f]"
)

Colour = int | tuple[int, int, int] | None


class Look(NamedTuple):
    """The attributes that SGR has set. A colour is 0 to 255, or red, green, blue."""

    fg: Colour = None
    bg: Colour = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False
    strike: bool = False


PLAIN: Final = Look()
Piece = tuple[str, Look]


def has_escapes(text: str) -> bool:
    """Whether there is anything to parse."""
    return "\x1b" in text or "\x9b" in text


def look_after(text: str, look: Look) -> Look:
    """The attributes in force after a line, for the one that follows it."""
    for token in _TOKEN.finditer(text):
        if token["final"] == "m":
            look = _sgr(look, token["params"])
    return look


def parse(text: str, look: Look = PLAIN) -> list[Piece]:
    """A line as harmless pieces with their attributes.

    What a carriage return goes back over is left out, as on a terminal; tabs are filled up.
    """
    back = text.rstrip("\r").rfind("\r")
    if back >= 0:
        look = look_after(text[:back], look)
        text = text[back + 1 :]
    pieces: list[Piece] = []
    at = 0
    column = 0
    for token in _TOKEN.finditer(text):
        column = _add(pieces, text[at : token.start()], look, column)
        if token["final"] == "m":
            look = _sgr(look, token["params"])
        at = token.end()
    _add(pieces, text[at:], look, column)
    return pieces


def plain(text: str) -> str:
    """A line without any attributes, as it would be read or copied."""
    return "".join(piece for piece, _ in parse(text))


def _add(pieces: list[Piece], text: str, look: Look, column: int) -> int:
    if not text:
        return column
    if "\t" in text:
        for i, part in enumerate(text.split("\t")):
            if i:
                fill = TAB - column % TAB
                pieces.append((" " * fill, look))
                column += fill
            column = _add(pieces, part, look, column)
        return column
    text = clean(text, "")
    if text:
        pieces.append((text, look))
    return column + (len(text) if text.isascii() else cell_len(text))


def _sgr(look: Look, params: str) -> Look:
    if not params:
        return PLAIN
    numbers = [int(p) if p.isdecimal() and len(p) < 6 else 0 for p in params.replace(":", ";").split(";")]
    i = 0
    while i < len(numbers):
        n = numbers[i]
        if n in {38, 48} and i + 1 < len(numbers):
            colour, used = _extended(numbers[i + 1 :])
            if colour is not None:
                look = look._replace(fg=colour) if n == 38 else look._replace(bg=colour)
            i += used
        else:
            look = _attribute(look, n)
        i += 1
    return look


def _extended(rest: list[int]) -> tuple[Colour, int]:
    if rest[0] == 5 and len(rest) >= 2:
        return min(rest[1], 255), 2
    if rest[0] == 2 and len(rest) >= 4:
        red, green, blue = (min(c, 255) for c in rest[1:4])
        return (red, green, blue), 4
    return None, len(rest)


def _attribute(look: Look, n: int) -> Look:
    if 30 <= n <= 37:
        return look._replace(fg=n - 30)
    if 40 <= n <= 47:
        return look._replace(bg=n - 40)
    if 90 <= n <= 97:
        return look._replace(fg=n - 90 + 8)
    if 100 <= n <= 107:
        return look._replace(bg=n - 100 + 8)
    match n:
        case 0:
            return PLAIN
        case 1:
            return look._replace(bold=True)
        case 2:
            return look._replace(dim=True)
        case 3:
            return look._replace(italic=True)
        case 4:
            return look._replace(underline=True)
        case 7:
            return look._replace(reverse=True)
        case 9:
            return look._replace(strike=True)
        case 22:
            return look._replace(bold=False, dim=False)
        case 23:
            return look._replace(italic=False)
        case 24:
            return look._replace(underline=False)
        case 27:
            return look._replace(reverse=False)
        case 29:
            return look._replace(strike=False)
        case 39:
            return look._replace(fg=None)
        case 49:
            return look._replace(bg=None)
        case _:
            return look
