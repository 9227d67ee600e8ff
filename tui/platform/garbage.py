"""When Python's garbage collector looks at what: never at everything while somebody waits for a key.

A hundred thousand jobs are half a million objects, and none of them is garbage: to look at them all
takes a quarter of a second and frees nothing. So what has settled is put aside (`freeze`), and what is
new is looked at twice a minute, and put aside before it is too much. Screens are put aside as well, and
when they are closed only the collector finds them, since they refer to themselves: so now and then, when
nobody has pressed a key for a while, everything is looked at.

Large lists and tables come and go too. The C library would keep their room in the process, between
smaller things; it is told to give it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Final

_YOUNG: Final = 3000
_MIDDLE: Final = 400
_NEVER: Final = 1_000_000
_M_MMAP_THRESHOLD: Final = -3
_LARGE: Final = 128 * 1024

EVERY_S: Final = 30.0
CALM_S: Final = 1.0
"""So long no key was pressed before the collector looks at what is new."""
PATIENCE_S: Final = 15.0
"""It waits no longer for that."""
STILL_S: Final = 5.0
"""So long no key was pressed before it looks at everything."""
MANY: Final = 20_000
"""So many new objects are looked at in a hundredth of a second; they are put aside then."""
_ASIDE: Final = 15
_TOO_MANY: Final = 60
"""When so many times as much was put aside, all is looked at again: at the next still moment, or at once."""


def wait_for_start() -> None:
    """Collect nothing while modules are loaded: there is no garbage yet, and looking costs time."""
    gc.disable()


def take_charge() -> None:
    """Let only small collections happen by themselves; imported modules are put aside.

    From now on the system gets large pieces of memory back when they are freed (glibc; others do so anyway).
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # where the C library has no such thing
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    gc.freeze()
    gc.enable()


def put_aside() -> None:
    """Do not look again at what there is, garbage or not: for now, while much is being read."""
    gc.freeze()


def hand_back() -> None:
    """As Python has it."""
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    gc.enable()


class Sweeper:
    """Collects garbage, at calm moments."""

    def __init__(self, now: float, *, many: int = MANY) -> None:
        self._due = now + EVERY_S
        self._many = many
        self._aside = 0
        """How many objects were put aside since everything was looked at."""
        self._readings = 0

    def look(self, now: float, touched_at: float, readings: int) -> None:
        """Collect what became garbage, if it is time; called often.

        `now` and `touched_at`, when somebody last pressed a key, are monotonic seconds; `readings` is how
        often everything was read so far: what was put aside meanwhile is looked at after each.
        """
        untouched = now - touched_at
        if now < self._due or (untouched < CALM_S and now < self._due + PATIENCE_S):
            return
        self._due = now + EVERY_S
        wanted = readings != self._readings or self._aside >= _ASIDE * self._many
        if (wanted and untouched >= STILL_S) or self._aside >= _TOO_MANY * self._many:
            self._readings, self._aside = readings, 0
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            return
        gc.collect()
        new = len(gc.get_objects())
        if new >= self._many:
            self._aside += new
            gc.freeze()
