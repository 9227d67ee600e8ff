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

INTERVAL_S: Final = 30.0
IDLE_S: Final = 1.0
"""So long no key was pressed before the collector looks at what is new."""
MAX_DELAY_S: Final = 15.0
"""It waits no longer for that."""
FULL_IDLE_S: Final = 5.0
"""So long no key was pressed before it looks at everything."""
FREEZE_OBJECTS: Final = 20_000
"""So many new objects are looked at in a hundredth of a second; they are put aside then."""
_FULL_AFTER: Final = 15
_FULL_AT_ONCE_AFTER: Final = 60
"""When so many times as much was put aside, all is looked at again: at the next still moment, or at once."""


def disable_until_started() -> None:
    """Collect nothing while modules are loaded: there is no garbage yet, and looking costs time."""
    gc.disable()


def configure() -> None:
    """Let only small collections happen by themselves; imported modules are put aside.

    From now on the system gets large pieces of memory back when they are freed (glibc; others do so anyway).
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # where the C library has no such thing
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    gc.freeze()
    gc.enable()


def freeze() -> None:
    """Exempt all present objects from collection, garbage or not: for now, while much is being read."""
    gc.freeze()


def restore_defaults() -> None:
    """Restore Python's own thresholds."""
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    gc.enable()


class GarbageCollector:
    """Collects garbage while no key is pressed."""

    def __init__(self, now: float, *, freeze_objects: int = FREEZE_OBJECTS) -> None:
        self._due = now + INTERVAL_S
        self._freeze_objects = freeze_objects
        self._frozen = 0
        """How many objects were frozen since the last full collection."""
        self._resyncs = 0

    def collect_if_due(self, now: float, last_input_at: float, resyncs: int) -> None:
        """Collect what became garbage, if it is time; called often.

        `now` and `last_input_at`, when somebody last pressed a key, are monotonic seconds; `resyncs` counts
        the snapshots read so far: objects that were frozen meanwhile are collected after each.
        """
        idle_s = now - last_input_at
        if now < self._due or (idle_s < IDLE_S and now < self._due + MAX_DELAY_S):
            return
        self._due = now + INTERVAL_S
        full_due = resyncs != self._resyncs or self._frozen >= _FULL_AFTER * self._freeze_objects
        overdue = self._frozen >= _FULL_AT_ONCE_AFTER * self._freeze_objects
        if overdue or (full_due and idle_s >= FULL_IDLE_S):
            self._resyncs, self._frozen = resyncs, 0
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            return
        gc.collect()
        new = len(gc.get_objects())
        if new >= self._freeze_objects:
            self._frozen += new
            gc.freeze()
