from __future__ import annotations

from qgjob.client.requests.slots import HEARD_FOR_S, LiveSlots, NoSlotTimer, missing_labels
from tests.support.views import heartbeat, view


def slots(*labels: tuple[str, ...]):
    live = LiveSlots()
    live.reset([heartbeat("a1", *labels)], 0.0)
    return live.slots(0.0)


def test_any_slot_with_all_labels_will_do():
    assert missing_labels(("a", "b"), slots(("c",), ("a", "b", "c"))) is None
    assert missing_labels((), slots(("c",))) is None


def test_what_is_missing_is_named():
    assert missing_labels(("a",), []) == "no agent is connected"
    assert missing_labels(("ios-17", "a", "gpu"), slots(("a",))) == "no slot has gpu, ios-17"


def test_labels_that_no_slot_has_together_name_the_nearest_slot():
    text = missing_labels(("a", "b", "c"), slots(("a",), ("b", "c")))
    assert text == "no slot has all of a, b, c; the nearest, a1/s2, lacks a"


def test_agents_that_say_goodbye_or_fall_silent_are_gone():
    live = LiveSlots()
    live.reset([heartbeat("a1", ("x",)), heartbeat("a2", ("x",))], 0.0)
    live.heard(heartbeat("a1", state="gone"), 1.0)
    assert [name for name, _ in live.slots(1.0)] == ["a2/s1"]
    assert live.slots(HEARD_FOR_S + 1) == []
    live.heard(heartbeat("a2", ("x",)), HEARD_FOR_S)
    assert len(live.slots(HEARD_FOR_S + 1)) == 1


def test_the_grace_runs_from_when_nothing_fits_and_begins_anew_after_a_slot_appeared():
    timer = NoSlotTimer(60.0)
    waiting = [view(job_id="j_1", requires=("gpu",)), view(job_id="j_2", requires=("x",))]
    none, some = slots(("x",)), slots(("gpu", "x"))
    assert timer.overdue(waiting, none, 0.0) == {}
    assert timer.overdue(waiting, none, 59.0) == {}
    assert timer.overdue(waiting, some, 59.5) == {}
    assert timer.overdue(waiting, none, 60.0) == {}
    assert timer.overdue(waiting, none, 119.0) == {}
    assert timer.overdue(waiting, none, 120.0) == {"j_1": "no slot has gpu"}


def test_a_grace_of_nothing_is_over_at_once():
    assert NoSlotTimer(0.0).overdue([view()], [], 5.0) == {"j_1": "no agent is connected"}
