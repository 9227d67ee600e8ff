"""The first element of a binary XML file, as Android packs its manifests.

The file is a chunk of chunks, each with type, header size and size. Strings stand in a pool and are named
by their index; attributes that Android knows are named by a resource id, through a map in the same order
as the pool. Nothing behind the first element is read. The layout is that of `ResourceTypes.h` of Android.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

AttributeName = str | int
"""An attribute's resource id where the file gives one, else its name."""
AttributeValue = str | int | None
"""None for what only a resource table or a theme could tell."""

_XML, _POOL, _MAP, _START_ELEMENT = 0x0003, 0x0001, 0x0180, 0x0102
_UTF8: Final = 1 << 8
_NONE: Final = 0xFFFFFFFF
_STRING, _FIRST_INT, _LAST_INT = 0x03, 0x10, 0x1F
_MAX_STRING: Final = 4096
_MAX_ATTRIBUTES: Final = 1000
_U16, _U32 = struct.Struct("<H"), struct.Struct("<I")
_HEAD: Final = struct.Struct("<HHI")
_ATTRIBUTE: Final = struct.Struct("<IIIHBBI")


class AxmlError(ValueError):
    """No binary XML, or a broken one."""


@dataclass(frozen=True, slots=True)
class Element:
    """The root element."""

    name: str
    attributes: dict[AttributeName, AttributeValue] = field(
        default_factory=dict[AttributeName, AttributeValue]
    )


def root_element(data: bytes) -> Element:
    """Read the root element. Raises `AxmlError`, and nothing else, whatever the bytes are."""
    try:
        return _root(data)
    except (struct.error, IndexError, OverflowError) as error:
        raise AxmlError(f"it ends too early: {error}") from None


def _root(data: bytes) -> Element:
    kind, head, _ = _HEAD.unpack_from(data, 0)
    if kind != _XML:
        raise AxmlError("it is no binary XML")
    pool: _Pool | None = None
    names: tuple[int, ...] = ()
    at = head
    while True:
        kind, head, size = _HEAD.unpack_from(data, at)
        if size < 8 or head < 8 or head > size or at + size > len(data):
            raise AxmlError(f"a part at {at} has an impossible size")
        if kind == _POOL:
            pool = _Pool(data, at, size)
        elif kind == _MAP:
            count = (size - head) // 4
            names = _numbers(data, at + head, count)
        elif kind == _START_ELEMENT:
            if pool is None:
                raise AxmlError("it has no strings")
            return _element(data, at + head, at + size, pool, names)
        at += size


def _element(data: bytes, at: int, end: int, pool: _Pool, names: tuple[int, ...]) -> Element:
    _, name = struct.unpack_from("<II", data, at)
    start, size, count = struct.unpack_from("<HHH", data, at + 8)
    if size < _ATTRIBUTE.size or count > _MAX_ATTRIBUTES or at + start + size * count > end:
        raise AxmlError("the first element's attributes reach beyond it")
    element = Element(pool.text(name))
    for number in range(count):
        at_attribute = at + start + number * size
        fields: tuple[int, ...] = _ATTRIBUTE.unpack_from(data, at_attribute)
        _, key, raw, _, _, kind, value = fields
        known = names[key] if key < len(names) else 0
        found: AttributeValue = None
        if kind == _STRING:
            found = pool.text(value)
        elif _FIRST_INT <= kind <= _LAST_INT:
            found = value
        elif raw != _NONE:
            found = pool.text(raw)
        element.attributes.setdefault(known or pool.text(key), found)
    return element


def _numbers(data: bytes, at: int, count: int) -> tuple[int, ...]:
    return struct.unpack_from(f"<{count}I", data, at)


class _Pool:
    """Strings by their index, decoded when asked for: a pool may claim to hold millions."""

    def __init__(self, data: bytes, at: int, size: int) -> None:
        self._data = data
        self._end = at + size
        head = _U16.unpack_from(data, at + 2)[0]
        self._count, _, flags, strings = struct.unpack_from("<IIII", data, at + 8)
        self._offsets = at + head
        self._strings = at + strings
        self._utf8 = bool(flags & _UTF8)

    def text(self, index: int) -> str:
        if index >= self._count:
            raise AxmlError(f"there is no string {index}")
        where = self._offsets + 4 * index
        if where + 4 > self._end:
            raise AxmlError("its strings reach beyond them")
        at = self._strings + _U32.unpack_from(self._data, where)[0]
        if self._utf8:
            _, at = self._length8(at)
            length, at = self._length8(at)
        else:
            units, at = self._length16(at)
            length = 2 * units
        if length > _MAX_STRING or at + length > self._end:
            raise AxmlError(f"string {index} is too long")
        return self._data[at : at + length].decode("utf-8" if self._utf8 else "utf-16-le", "replace")

    def _length8(self, at: int) -> tuple[int, int]:
        first = self._data[at]
        if first & 0x80:
            return (first & 0x7F) << 8 | self._data[at + 1], at + 2
        return first, at + 1

    def _length16(self, at: int) -> tuple[int, int]:
        first = _U16.unpack_from(self._data, at)[0]
        if first & 0x8000:
            return (first & 0x7FFF) << 16 | _U16.unpack_from(self._data, at + 2)[0], at + 4
        return first, at + 2
