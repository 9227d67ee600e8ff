"""What a new leader makes of a backlog before it places."""

from __future__ import annotations

import pytest

from qgjob.domain.placement.events import JobArrived, SlotSeen
from qgjob.domain.placement.model import GroupKey, Job
from qgjob.domain.placement.stats import AGED_AFTER_S, AGED_MAX_DEFERRAL_S, max_aged_credit
from qgjob.scheduler.dispatch.lab import Lab
from tests.support.clock import ManualClock


@pytest.mark.parametrize(
    ("waited_s", "share"),
    [(60.0, 0.0), (AGED_AFTER_S + AGED_MAX_DEFERRAL_S / 2, 0.5), (AGED_AFTER_S + AGED_MAX_DEFERRAL_S, 1.0)],
)
def test_aged_work_is_owed_what_its_age_says(waited_s: float, share: float) -> None:
    clock = ManualClock(100_000.0)
    lab = Lab(clock, lambda _: None, lambda _: None, lambda _: None)
    needs_what_is_missing = GroupKey("camera", "o", "v1")
    lab.feed(JobArrived(Job("j", needs_what_is_missing, "t", 2, clock.now() - waited_s, 1)))
    for number in range(20):
        lab.feed(SlotSeen(f"s{number}", frozenset({"process"}), True, frozenset(), None, None))
    lab.start()
    assert lab.state.stats.aged_credit == pytest.approx(share * max_aged_credit(20, lab.state.index.test_s))
