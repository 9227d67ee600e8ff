"""The clocks."""

from __future__ import annotations

import time

import pytest

from qgjob.clock import Clock, SystemClock
from tests.support.clock import ManualClock


def test_the_system_clock_is_the_machine_s() -> None:
    clock: Clock = SystemClock()
    before, began = time.time(), time.monotonic()
    now, monotonic = clock.now(), clock.monotonic()
    assert before <= now <= time.time()
    assert began <= monotonic <= time.monotonic()


def test_a_manual_clock_moves_when_told() -> None:
    clock = ManualClock(now=100.0)
    reader: Clock = clock
    assert (reader.now(), reader.monotonic()) == (100.0, 0.0)
    clock.advance(2.5)
    assert (reader.now(), reader.monotonic()) == (102.5, 2.5)
    clock.set_now(50.0)
    assert (reader.now(), reader.monotonic()) == (50.0, 2.5)


def test_a_manual_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        ManualClock().advance(-1)
