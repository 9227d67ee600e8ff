"""Strips terminal control sequences from the output of tests."""

from __future__ import annotations

import re
from html import escape
from typing import Final

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def plain(text: str) -> str:
    """The text alone: escape sequences are left out, other control characters are U+FFFD."""
    return _CONTROL.sub("\ufffd", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def safe(text: str) -> str:
    """Foreign text as it may stand in a page: plain, and without markup."""
    return escape(plain(text))
