"""What is said in a corner for a moment: few at a time, and each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.notifications import Notification, Notify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.dom import DOMNode

MAX_TOASTS: Final = 4
"""More of them would hide what they are about."""
_REPLY_S: Final = 3.0


class Reply(Notification):
    """What is said to a key: the next key's takes its place."""


def reply(where: DOMNode, sentence: str) -> None:
    """Say in a sentence what a key did, or why it does nothing now."""
    where.app.post_message(Notify(Reply(sentence, timeout=_REPLY_S)))


def superseded(there: Iterable[Notification], new: Notification) -> list[Notification]:
    """Those that make room for a new one: the same said before, the reply to the key before, the oldest."""
    kept: list[Notification] = []
    gone: list[Notification] = []
    for old in there:
        again = old.message == new.message
        (gone if again or (isinstance(old, Reply) and isinstance(new, Reply)) else kept).append(old)
    return [*gone, *kept[: max(0, len(kept) + 1 - MAX_TOASTS)]]
