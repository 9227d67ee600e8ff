"""Which of several reasons for not working counts."""

from __future__ import annotations

from agent.slots.holding import DEVICE, SKEW, Holding
from bus_schemas.holds import SlotHold


def test_the_gravest_reason_is_shown_and_all_have_to_go():
    holding = Holding()
    assert not holding
    assert (holding.state, holding.note) == ("idle", None)
    holding.set_operator_hold(SlotHold(name="a/s0", kind="paused", by="ann", since=1.0))
    assert holding.hold(DEVICE, "lost", "unplugged")
    assert not holding.hold(DEVICE, "lost", "unplugged")  # nothing new
    assert (holding.state, holding.note) == ("lost", "unplugged; paused by ann")
    assert holding.release(DEVICE)
    assert not holding.release(SKEW)
    assert (holding.state, holding.note) == ("paused", "paused by ann")
    assert holding
    holding.set_operator_hold(None)
    assert not holding
    assert holding.operator_hold is None
