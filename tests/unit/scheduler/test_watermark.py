"""How far jobs of the backlog are announced."""

from __future__ import annotations

from qgjob.scheduler.backlog.watermark import Watermark


def test_follows_in_steps_while_events_are_still_being_posted() -> None:
    watermark = Watermark(5)
    assert watermark.advance(100, posted=90, stored=0) == 5
    assert watermark.advance(200, posted=190, stored=95) == 100
    assert watermark.advance(300, posted=290, stored=189) == 100
    assert watermark.advance(300, posted=290, stored=190) == 200
    assert watermark.advance(300, posted=290, stored=290) == 300


def test_never_goes_back_for_a_run_that_is_still_coming_in() -> None:
    watermark = Watermark(0)
    assert watermark.advance(100, posted=50, stored=50) == 100
    assert watermark.advance(80, posted=50, stored=50) == 100
