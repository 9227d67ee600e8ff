"""When Python's garbage collector looks at what: never at everything while somebody waits for a key.

A hundred thousand jobs are half a million objects, and none of them is garbage: to look at them all
takes a quarter of a second and frees nothing. So what has settled is put aside (`freeze`), and what is
new is looked at once a minute. But things on the screen are put aside as well, and when they are gone
only the collector finds them, since they refer to themselves: so now and then everything is looked at.

Large lists and tables come and go too. The C library would keep their room in the process, between
smaller things; it is told to give it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Final

_YOUNG: Final = 20_000
_MIDDLE: Final = 20
_NEVER: Final = 1_000_000
_M_MMAP_THRESHOLD: Final = -3
_LARGE: Final = 128 * 1024

EVERY_S: Final = 60.0
CALM_S: Final = 1.0
"""So long no key was pressed before the collector runs."""
PATIENCE_S: Final = 30.0
"""It waits no longer for that."""
MANY: Final = 150_000
"""So many new objects are looked at in a few hundredths of a second; of more it is time to put them aside."""


def take_charge() -> None:
    """Let only small collections happen by themselves; imported modules are put aside.

    From now on the system gets large pieces of memory back when they are freed (glibc; others do so anyway).
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # where the C library has no such thing
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    gc.freeze()


def put_aside() -> None:
    """Do not look again at what there is, garbage or not: for now, while much is being read."""
    gc.freeze()


def hand_back() -> None:
    """As Python has it."""
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)


class Sweeper:
    """Collects garbage, at calm moments."""

    def __init__(self, now: float, *, many: int = MANY) -> None:
        self._due = now + EVERY_S
        self._many = many
        self._readings = 0

    def look(self, now: float, touched_at: float, readings: int) -> None:
        """Collect what became garbage, if it is time; called often.

        `now` and `touched_at`, when somebody last pressed a key, are monotonic seconds; `readings` is how
        often everything was read so far: what was put aside meanwhile is looked at after each.
        """
        calm = now - touched_at >= CALM_S
        if now < self._due or (not calm and now < self._due + PATIENCE_S):
            return
        self._due = now + EVERY_S
        new = len(gc.get_objects())
        whole = readings != self._readings or new >= self._many
        if not whole or (not calm and new < 2 * self._many):  # while somebody types, only what is new
            gc.collect()
            return
        self._readings = readings
        gc.unfreeze()
        gc.collect()
        gc.freeze()
