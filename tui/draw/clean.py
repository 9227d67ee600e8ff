"""Text from elsewhere made harmless: nothing that is drawn may command the terminal or deceive.

Names and logs are hostile until they were here. Control characters could move the cursor or write
the clipboard; bidirectional controls show a text in another order than it has; joiners and
variation selectors have a width that no two terminals agree on, which would tear the screen.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: an eight-bit CSI is U+009B
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # invisible, or fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, separators, bidirectional controls
    "\u3164\ufeff\uffa0\ufff0-\ufffb\ufe00-\ufe0f"
    "\ud800-\udfff"  # halves of characters, which no terminal can be sent
    "\U0001f3fb-\U0001f3ff"  # skin tones: one cell more or none, as the terminal pleases
    "\U000e0000-\U000e0fff"  # tags and more variation selectors
    "]"
)
_MARKS_IN_A_ROW: Final = 3
REPLACEMENT: Final = "\ufffd"


def clean(text: str, replacement: str = REPLACEMENT) -> str:
    """A text in which no character controls anything; each that would is replaced."""
    if text.isascii() and text.isprintable():
        return text
    text = _UNSAFE.sub(replacement, text)
    return text if text.isascii() else _few_marks(text)


def _few_marks(text: str) -> str:
    """The text without towers of combining marks, and without one that has nothing to combine with."""
    out: list[str] = []
    marks = _MARKS_IN_A_ROW
    for character in text:
        if character >= "\u0300" and unicodedata.category(character) in {"Mn", "Me"}:
            marks += 1
            if marks > _MARKS_IN_A_ROW:
                continue
        else:
            marks = 0
        out.append(character)
    return "".join(out)
