"""Counts the entries of a zip's central directory without reading it into memory.

The standard library makes an object of every entry before the first can be looked at: the directory of
an archive of 2 GiB would take ten times that.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, Final

from agent.archive.writer import CHUNK

_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_MAX_COMMENT: Final = 65_535
_LOCATOR: Final = b"PK\x06\x07"
_END_64: Final = b"PK\x06\x06"
_LOCATOR_BYTES: Final = 20
_END_64_BYTES: Final = 56
_ENTRY: Final = b"PK\x01\x02"


def count_entries(file: BinaryIO) -> int:
    """An upper bound of the number of entries in a zip's directory: how often one seems to begin.

    0 when it has none; the file's position changes.
    """
    length = file.seek(0, os.SEEK_END)
    end, size = _directory(file, length)
    left = min(size, end)
    file.seek(end - left)
    found, tail = 0, b""
    while left > 0 and (data := file.read(min(CHUNK, left))):
        left -= len(data)
        data = tail + data
        found += data.count(_ENTRY)
        tail = data[-len(_ENTRY) + 1 :]
    return found


def _directory(file: BinaryIO, length: int) -> tuple[int, int]:
    """Where the directory ends and how many bytes it has, as the archive says."""
    start = max(0, length - _END_BYTES - _MAX_COMMENT)
    file.seek(start)
    data = file.read()
    place = data.rfind(_END)
    if place < 0 or len(data) - place < _END_BYTES:
        return 0, 0
    end = start + place
    (size,) = struct.unpack_from("<L", data, place + 12)
    file.seek(max(0, end - _LOCATOR_BYTES - _END_64_BYTES))
    before = file.read(_LOCATOR_BYTES + _END_64_BYTES)
    if before[_END_64_BYTES:].startswith(_LOCATOR) and before.startswith(_END_64):
        (size,) = struct.unpack_from("<Q", before, 40)
        end -= _LOCATOR_BYTES + _END_64_BYTES
    return end, size
