"""How far jobs are announced."""

from __future__ import annotations

from qgjob.scheduler.backlog.announced import Announced


def test_follows_in_steps_while_events_are_still_being_posted() -> None:
    announced = Announced(5)
    assert announced.step(100, posted=90, stored=0) == 5
    assert announced.step(200, posted=190, stored=95) == 100
    assert announced.step(300, posted=290, stored=189) == 100
    assert announced.step(300, posted=290, stored=190) == 200
    assert announced.step(300, posted=290, stored=290) == 300


def test_never_goes_back_for_a_run_that_is_still_coming_in() -> None:
    announced = Announced(0)
    assert announced.step(100, posted=50, stored=50) == 100
    assert announced.step(80, posted=50, stored=50) == 100
