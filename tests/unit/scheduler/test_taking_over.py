"""What a new leader makes of a backlog before it places."""

from __future__ import annotations

import pytest

from qgjob.domain.placement.events import JobArrived, SlotSeen
from qgjob.domain.placement.model import GroupKey, Job
from qgjob.domain.placement.stats import AGED_AFTER_S, AGED_MAX_DEFERRAL_S, max_aged_credit
from qgjob.scheduler.dispatch.lab import Lab
from tests.support.clock import ManualClock

LONG_S = AGED_AFTER_S + AGED_MAX_DEFERRAL_S


@pytest.mark.parametrize(
    ("waited_s", "told", "share"),
    [
        (60.0, None, 0.0),
        (LONG_S - AGED_MAX_DEFERRAL_S / 2, None, 0.5),
        (LONG_S, None, 1.0),
        (LONG_S, 0.0, 0.0),  # as where nothing ran for a night
        (LONG_S, 0.2, 0.2),
    ],
)
def test_aged_work_is_owed_what_was_told_or_else_what_its_age_says(
    waited_s: float, told: float | None, share: float
) -> None:
    clock = ManualClock(100_000.0)
    lab = Lab(clock, lambda _: None, lambda _: None, lambda _: None)
    needs_what_is_missing = GroupKey("camera", "o", "v1")
    lab.feed(JobArrived(Job("j", needs_what_is_missing, "t", 2, clock.now() - waited_s, 1)))
    for number in range(20):
        lab.feed(SlotSeen(f"s{number}", frozenset({"process"}), True, frozenset(), None, None))
    most = max_aged_credit(20, lab.state.index.test_s)
    lab.start(None if told is None else told * most)
    assert lab.state.stats.aged_credit == pytest.approx(share * most)
