"""The troubles in few lines: those of a kind are told as one, the loudest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qgjob.domain.wording import first_of
from tui.draw.times import count
from tui.store.lab import LOST_AFTER_S
from tui.store.troubles import Level, Trouble, troubles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.store.store import Store

_NAMED: Final = 3
_APART: Final = frozenset({"pause", "errors"})
"""Each of these is told by itself."""


class Alert(NamedTuple):
    """One line."""

    kind: str
    level: Level
    text: str
    about: tuple[str, ...] = ("",)
    """What it is about, as many as there are."""

    @property
    def keys(self) -> set[str]:
        """What stays the same while the reason does: of what was said once nothing is said again."""
        return {f"{self.kind} {one}" for one in self.about}


def alerts_of(store: Store) -> list[Alert]:
    """The alerts of this moment."""
    return merged(troubles_of(store))


def merged(troubles: Sequence[Trouble]) -> list[Alert]:
    """The troubles as alerts."""
    kinds: dict[str, list[Trouble]] = {}
    for trouble in troubles:
        kinds.setdefault(trouble.key if trouble.kind in _APART else trouble.kind, []).append(trouble)
    return [
        Alert(some[0].kind, some[0].level, _told(some), tuple(trouble.about for trouble in some))
        for some in kinds.values()
    ]


def _told(some: list[Trouble]) -> str:
    """What is said of several of a kind; one by itself says all that there is to say."""
    if len(some) == 1:
        return some[0].text
    names = first_of([trouble.named for trouble in some], _NAMED)
    match some[0].kind:
        case "lost":
            return f"{names} silent for more than {LOST_AFTER_S:g} s"
        case "quarantine":
            return f"{names} in quarantine"
        case "poison":
            return f"slot after slot went down under {names}"
        case "builds":
            return f"held back: {names}"
        case "unfit":
            jobs = sum(trouble.jobs for trouble in some)
            return f"{count(jobs)} jobs need what no slot has: {names}"
        case kind if kind.startswith("low "):
            return f"{kind}: {names}"
        case _:
            return some[0].text
