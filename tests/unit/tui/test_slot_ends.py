"""How the last jobs of a slot ended, from events and from a snapshot, in any order."""

from __future__ import annotations

from random import Random

from bus_schemas.agents import Heartbeat, SlotStatus
from tests.support.clock import ManualClock
from tests.support.lab.model import START, LabModel
from tui.store.slot_ends import KEPT
from tui.store.store import Store
from tui.widgets.slot_table import SlotTable


def test_a_snapshot_tells_the_same_as_the_events_in_any_order_and_twice() -> None:
    model = LabModel(seed=4, agents=2, slots=3, mean_test_s=5)
    heard, seen = Store(ManualClock(START)), Store(ManualClock(START))
    for seq, event in enumerate(model.play(300, run_size=10, every_s=5), start=1):
        heard.apply_event(event, seq)
    views = list(model.views.values())
    Random(1).shuffle(views)
    for view in views + views[::2]:
        seen.apply_view(view)
    jobs = [job for job_id in heard.jobs if (job := heard.jobs.get(job_id))]
    places = {job.slot_name for job in jobs if job.ended and job.slot_name}
    for place in places:
        assert seen.slot_ends.of(place) == heard.slot_ends.of(place), place
    assert {len(heard.slot_ends.of(place)) for place in places} == {KEPT}
    assert heard.slot_ends.of("nowhere") == []


def test_what_does_not_pass_is_seen_in_the_row_of_its_slot_which_comes_first() -> None:
    store = Store(ManualClock(START))
    slots = tuple(SlotStatus(name=f"s{n}", driver="none", state="idle") for n in range(3))
    store.apply_heartbeat(
        Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=START, slots=slots)
    )
    ends = {"lab-1/s0": ["passed"] * 3, "lab-1/s2": ["passed", "failed", "errored"]}
    vars(store.slot_ends)["_ends"] = {
        place: [(float(at), f"j_{at}", 1, state) for at, state in enumerate(states)]
        for place, states in ends.items()
    }
    table = SlotTable(store, "slots")
    table._arrange()  # pyright: ignore[reportPrivateUsage]
    widths = [
        (column, 10 if column.key == "last" else 5)
        for column in SlotTable.columns
        if column.key in {"last", "note"}
    ]
    drawn = {f"lab-1/{slot.name}": table.cells(f"lab-1/{slot.name}", widths)[0] for slot in slots}
    assert {name: "".join(text for text, _ in line) for name, line in drawn.items()} == {
        "lab-1/s0": "       ✓✓✓",
        "lab-1/s1": "          ",
        "lab-1/s2": "       ✓✗!",
    }
    assert [ink for _, ink in drawn["lab-1/s2"]][1:] == ["dim", "bad", "lab"]
    table.trouble_first = True
    table._arrange()  # pyright: ignore[reportPrivateUsage]
    assert [table.rows[row] for row in range(3)] == ["lab-1/s2", "lab-1/s0", "lab-1/s1"]
