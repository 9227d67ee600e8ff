"""Numbers as sentences say them."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """`1 slot`, `2 slots`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
