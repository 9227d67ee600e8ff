"""The columns of a table and its rows: what fits, how wide, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

GAP = 1
"""Cells between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a fixed width, or one that takes a share of what is left."""

    key: str
    title: str
    width: int
    """Cells; with `share`, the least that it needs."""
    share: int = 0
    right: bool = False
    spare: int = 0
    """Above 0: given up when there is no room, the highest first."""
    beside: int = 0
    """Cells that the others must have to share, beside what they need, before this one is shown."""


class Ids(Protocol):
    """The rows of a table in order."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> str: ...
    def row_of(self, row_id: str, /) -> int | None:
        """The row of an id, or None."""
        ...


class ListIds:
    """Rows from a list."""

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self._ids = list(ids)
        self._rows = {row_id: row for row, row_id in enumerate(self._ids)}

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, row: int) -> str:
        return self._ids[row]

    def row_of(self, row_id: str) -> int | None:
        """The row of an id, or None."""
        return self._rows.get(row_id)


def lay_out(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Which columns there is room for, and how wide each is."""
    shown = list(columns)
    while len(shown) > 1 and sum(c.width + GAP for c in shown) - GAP + max(c.beside for c in shown) > width:
        spare = max(shown, key=lambda c: c.spare)
        if not spare.spare:
            break
        shown.remove(spare)
    left = max(0, width - (sum(c.width + GAP for c in shown) - GAP))
    shares = sum(c.share for c in shown)
    widths: list[tuple[Column, int]] = []
    for column in shown:
        extra = left * column.share // shares if shares else 0
        left -= extra
        shares -= column.share
        widths.append((column, column.width + extra))
    return widths
