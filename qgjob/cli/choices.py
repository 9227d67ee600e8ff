"""Checks a value that has few choices, and suggests the likeliest for one that is mistyped."""

from __future__ import annotations

from collections.abc import Iterable

from qgjob.domain.wording import shorten
from qgjob.errors import UsageError


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The likeliest of the known words; None when none is near."""
    from difflib import get_close_matches

    matches = get_close_matches(word.lower(), list(known), n=1)
    return matches[0] if matches else None


def checked_choice(name: str, value: str, choices: Iterable[str], hint: str | None = None) -> str:
    """The value, if it is one of the choices; else raises `UsageError`."""
    known = tuple(choices)
    if value in known:
        return value
    likely = nearest(value, known)
    meant = f"Did you mean {likely}? " if likely else ""
    raise UsageError(
        f"{name} {shorten(value, 40)!r} is unknown. {meant}It is one of {', '.join(known)}.", hint=hint
    )
