"""What nobody needs any more goes, at calm moments, and goes back to the system."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from tui.platform import gc_tuning
from tui.platform.gc_tuning import IDLE_S, INTERVAL_S, MAX_DELAY_S, GarbageCollector

PROGRAM = """
import psutil
from tui.platform import gc_tuning

def mib():
    return psutil.Process().memory_info().rss / 2**20

gc_tuning.configure()
large = bytearray(8 * 2**20)
del large  # from here on the C library would keep such pieces
between = []
pieces = []
for _ in range(20):
    pieces.append(bytearray(b"x") * 2**21)
    between.append(bytearray(5000))
full = mib()
pieces.clear()
print(full - mib())
"""


class Ring:
    """Refers to itself, as lines on the screen do: only the collector finds it."""

    def __init__(self) -> None:
        self.me = self


def a_ring() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()
    gc_tuning.restore_defaults()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries give it back by themselves")
def test_large_pieces_between_small_ones_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 30


def test_it_is_collected_once_a_minute_when_no_key_was_pressed_for_a_moment() -> None:
    collector = GarbageCollector(0.0)
    ring = a_ring()
    collector.collect_if_due(INTERVAL_S - 1, 0.0, 0)
    assert ring()
    collector.collect_if_due(INTERVAL_S, INTERVAL_S - IDLE_S / 2, 0)
    assert ring()
    collector.collect_if_due(INTERVAL_S + 2, INTERVAL_S, 0)
    assert not ring()
    ring = a_ring()
    collector.collect_if_due(INTERVAL_S + 3, 0.0, 0)
    assert ring()


def test_while_it_starts_nothing_is_collected_and_afterwards_it_is() -> None:
    gc.enable()
    gc_tuning.disable_until_started()
    assert not gc.isenabled()
    gc_tuning.configure()
    assert gc.isenabled()
    gc_tuning.disable_until_started()
    gc_tuning.restore_defaults()
    assert gc.isenabled()


def test_somebody_who_types_without_end_does_not_hold_it_up() -> None:
    ring = a_ring()
    now = INTERVAL_S + MAX_DELAY_S
    GarbageCollector(0.0).collect_if_due(now, now, 0)
    assert not ring()


def test_what_was_put_aside_while_everything_was_read_is_looked_at_afterwards_and_once() -> None:
    collector = GarbageCollector(0.0)
    ring = a_ring()
    gc_tuning.freeze()
    collector.collect_if_due(INTERVAL_S, 0.0, 1)
    assert not ring()
    assert gc.get_freeze_count()
    ring = a_ring()
    gc_tuning.freeze()
    collector.collect_if_due(2 * INTERVAL_S, 0.0, 1)
    assert ring()
    collector.collect_if_due(3 * INTERVAL_S, 0.0, 2)
    assert not ring()


def test_while_somebody_types_what_is_new_is_put_aside_and_all_is_looked_at_when_that_was_much() -> None:
    collector = GarbageCollector(0.0, freeze_objects=100)
    old = a_ring()
    gc_tuning.freeze()
    now = 0.0
    for _ in range(3):
        ring = a_ring()
        new = [[number] for number in range(200)]
        now += INTERVAL_S + MAX_DELAY_S
        collector.collect_if_due(now, now, 1)
        assert not ring()
        assert not any(thing is new for thing in gc.get_objects())
        assert old()
    collector.collect_if_due(now + INTERVAL_S, now, 1)
    assert not old()


def test_without_end_it_is_not_put_off() -> None:
    collector = GarbageCollector(0.0, freeze_objects=10)
    old = a_ring()
    gc_tuning.freeze()
    now = 0.0
    kept: list[list[list[int]]] = []
    for _ in range(61):
        kept.append([[number] for number in range(20)])
        now += INTERVAL_S + MAX_DELAY_S
        collector.collect_if_due(now, now, 0)
    assert not old()


def test_where_much_was_put_aside_everything_is_looked_at() -> None:
    collector = GarbageCollector(0.0, freeze_objects=100)
    ring = a_ring()
    gc_tuning.freeze()
    kept: list[list[list[int]]] = []
    for minute in range(1, 17):
        kept.append([[number] for number in range(200)])
        collector.collect_if_due(minute * INTERVAL_S, 0.0, 0)
        assert ring() or minute > 1
    assert not ring()
