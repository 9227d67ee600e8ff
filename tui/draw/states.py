"""How states look: a glyph each, so that they can be told apart without colour, and an ink."""

from __future__ import annotations

from typing import Final

JOB_GLYPH: Final = {
    "scheduled": "◌",
    "queued": "○",
    "dispatched": "◎",
    "preparing": "◐",
    "running": "●",
    "passed": "✓",
    "failed": "✗",
    "errored": "!",
    "timed_out": "◷",
    "cancelled": "⊘",
    "expired": "⌀",
}
JOB_INK: Final = {
    "scheduled": "wait",
    "queued": "wait",
    "dispatched": "next",
    "preparing": "prep",
    "running": "busy",
    "passed": "good",
    "failed": "bad",
    "errored": "lab",
    "timed_out": "bad",
    "cancelled": "dim",
    "expired": "dim",
}
STATE_WORD: Final = {"timed_out": "timed out"}

SLOT_GLYPH: Final = {
    "idle": "□",
    "busy": "■",
    "paused": "◫",
    "draining": "◪",
    "quarantined": "▨",
    "reserved": "◨",
    "lost": "✕",
}
SLOT_INK: Final = {
    "idle": "dim",
    "busy": "busy",
    "paused": "wait",
    "draining": "prep",
    "quarantined": "bad",
    "reserved": "wait",
    "lost": "bad",
}
AGENT_GLYPH: Final = {"up": "●", "draining": "◐", "gone": "○", "lost": "✕"}
AGENT_INK: Final = {"up": "good", "draining": "prep", "gone": "dim", "lost": "bad"}
ALERT_GLYPH: Final = {"bad": "▲", "warn": "△"}
ALERT_INK: Final = {"bad": "bad", "warn": "prep"}


def priority_ink(priority: int) -> str:
    """The ink of a priority's class, without the schemas, which the first paint does not wait for."""
    if priority >= 8:
        return "high"
    return "medium" if priority >= 4 else "low"


def word(state: str) -> str:
    """A state as people write it."""
    return STATE_WORD.get(state, state)
