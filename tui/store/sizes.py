"""Memory that is no longer needed is given back."""

from __future__ import annotations

from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def compacted(things: dict[_Key, _Value]) -> dict[_Key, _Value]:
    """The same in a new dict: one in which things come and go takes twice the room in the end."""
    return {key: value for key, value in things.items()}  # noqa: C416 - a copy keeps the room
