"""The protocol between an agent and its supervisor processes: JSON in length-prefixed frames.

Standard library alone, and little of it: the supervisor process imports this at its start.
"""

from __future__ import annotations

import json
import struct
from typing import Any

MAX_FRAME = 16 * 1024 * 1024
"""Bytes; Linux takes no more than 6 MiB of arguments and environment anyway."""

_LENGTH = struct.Struct("!I")

Frame = dict[str, Any]


class FrameError(ValueError):
    """The other side does not speak frames."""


def pack(frame: Frame) -> bytes:
    """Encode a frame. Lone surrogates (undecodable file names) survive the trip."""
    body = json.dumps(frame).encode("ascii")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes as they come; give the frames they complete. Raises `FrameError`."""
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise FrameError(f"a frame of {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            frames.append(json.loads(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return frames
