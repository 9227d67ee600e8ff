"""The end of a log that is over its limit: the newest bytes, in the order in which they came."""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

TAIL_BYTES: Final = 2**20
"""Enough for the stack trace at the end; little enough for many slots in one agent."""

Name = TypeVar("Name", bound=str)


class LogTail(Generic[Name]):
    """Holds the last `limit` bytes, and counts what it let go."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._parts: deque[tuple[Name, bytes]] = deque()
        self._size = 0
        self.dropped = 0
        """Bytes that were let go."""

    def add(self, name: Name, data: bytes) -> None:
        """Take a piece of a stream."""
        self._parts.append((name, data))
        self._size += len(data)
        while self._size > self._limit:
            first, old = self._parts.popleft()
            over = self._size - self._limit
            if len(old) > over:
                self._parts.appendleft((first, old[over:]))
            gone = min(over, len(old))
            self._size -= gone
            self.dropped += gone

    def take(self) -> list[tuple[Name, str]]:
        """What is held, as text; when something was let go it begins with a whole line, if it can."""
        if self.dropped and self._parts:
            name, data = self._parts[0]
            end = data.find(b"\n") + 1
            if end:
                self._parts[0] = (name, data[end:])
                self.dropped += end
        joined: list[tuple[Name, list[bytes]]] = []
        for name, data in self._parts:
            if joined and joined[-1][0] == name:
                joined[-1][1].append(data)
            else:
                joined.append((name, [data]))
        self._parts.clear()
        self._size = 0
        return [(name, b"".join(pieces).decode("utf-8", "replace")) for name, pieces in joined]
