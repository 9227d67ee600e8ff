"""When Python's garbage collector may look at everything: never while somebody waits for a key.

A hundred thousand jobs are more than a million objects, and none of them is garbage: a full
collection takes most of a second and frees nothing. So what has settled is put aside (`freeze`),
and only what is new is looked at, at moments of our own choosing.
"""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 20_000
_MIDDLE: Final = 20
_NEVER: Final = 1_000_000


def take_charge() -> None:
    """Let only small collections happen by themselves; imported modules are put aside."""
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    gc.freeze()


def put_aside(*, collect: bool = True) -> None:
    """Collect what became garbage since the last time, and never look at the rest again.

    Counting references still frees what is put aside; only cycles of it would stay.
    """
    if collect:
        gc.collect()
    gc.freeze()


def hand_back() -> None:
    """As Python has it."""
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
