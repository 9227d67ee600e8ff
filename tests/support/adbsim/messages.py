"""The 24-byte heads of adb's transport protocol."""

from __future__ import annotations

import asyncio
import struct
from typing import Final, NamedTuple

HEAD: Final = struct.Struct("<6I")
MAX_DATA: Final = 256 * 1024
VERSION: Final = 0x01000001
"""From this version on checksums are not looked at."""


class Message(NamedTuple):
    command: bytes
    arg0: int
    arg1: int
    data: bytes = b""

    def encode(self) -> bytes:
        command = int.from_bytes(self.command, "little")
        checksum = sum(self.data) & 0xFFFFFFFF
        head = HEAD.pack(command, self.arg0, self.arg1, len(self.data), checksum, command ^ 0xFFFFFFFF)
        return head + self.data


async def read_message(reader: asyncio.StreamReader) -> Message:
    command, arg0, arg1, length, _, magic = HEAD.unpack(await reader.readexactly(HEAD.size))
    if magic != command ^ 0xFFFFFFFF or length > 1024 * 1024:
        raise ConnectionError("the other side speaks another protocol")
    return Message(command.to_bytes(4, "little"), arg0, arg1, await reader.readexactly(length))
