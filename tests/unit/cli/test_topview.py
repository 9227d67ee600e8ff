"""The one screen of `top`."""

from __future__ import annotations

import pytest

from bus_schemas.agents import GroupRef, Heartbeat, SlotStatus
from bus_schemas.queries import GroupView, LeaderView, Overview
from qgjob.cli.display.top_view import MINUTES, Line, Seen, per_minute, screen
from tests.support.views import NOW, view


def overview(groups: int = 1) -> Overview:
    return Overview(
        at=NOW,
        leader=LeaderView(replica="one", epoch=1, since=NOW),
        depths={"high": 1, "medium": 20, "low": 0},
        waiting=21,
        running=1,
        oldest_wait_s=75.0,
        ended={"passed": 7, "failed": 2},
        groups_total=groups,
        groups=tuple(
            GroupView(group=GroupRef(capability="any", org_id="acme", app_version_id=f"v{n}"), waiting=n)
            for n in range(groups)
        ),
    )


def agent(slots: int) -> Heartbeat:
    made = tuple(SlotStatus(name=f"s{n}", driver="process", state="idle") for n in range(slots))
    return Heartbeat(agent="lab", host="h", pid=1, version="1", started_at=0, at=NOW, slots=made)


def seen(**changes: object) -> Seen:
    given: dict[str, object] = {
        "overview": overview(),
        "agents": [agent(2)],
        "at_work": [],
        "ends": [],
        "problem": None,
        "now": NOW,
    }
    return Seen(**(given | changes))  # pyright: ignore[reportArgumentType]


def text(lines: list[Line]) -> str:
    return "\n".join("".join(piece for piece, _ in line) for line in lines)


def test_it_tells_of_queue_groups_and_slots():
    shown = text(screen(seen(), 100))
    for part in ("1 agent, 2 slots; leader one", "not passed 2", "oldest 1m15s", "acme v0 any", "lab/s1"):
        assert part in shown


@pytest.mark.parametrize(("columns", "rows"), [(20, 5), (80, 24), (200, 60), (1, 1)])
def test_it_never_is_larger_than_the_terminal(columns: int, rows: int):
    lines = screen(seen(overview=overview(50), agents=[agent(64)]), columns, rows)
    assert len(lines) <= rows
    assert all(sum(len(piece) for piece, _ in line) <= columns for line in lines)


def test_a_group_whose_labels_no_slot_has_says_so():
    group = GroupView(group=GroupRef(capability="gpu", org_id="acme", app_version_id="v0"), waiting=1)
    lacking = overview().model_copy(update={"groups": (group,)})
    assert "no slot has these labels" in text(screen(seen(overview=lacking), 100))
    assert "no slot has" not in text(screen(seen(), 100))


def test_slots_that_do_not_fit_are_counted():
    shown = screen(seen(agents=[agent(64)]), 80, 24)
    assert "more slots" in text(shown)


def test_what_others_named_moves_no_cursor():
    hostile = view(test="a\x1b[2J\n.py", state="running")
    lines = screen(seen(at_work=[hostile]), 100)
    assert "\x1b" not in text(lines)


def test_a_problem_is_said_at_the_top():
    assert "No scheduler" in text(screen(seen(problem="No scheduler answers."), 100)[:2])
    assert "No scheduler" in text(screen(seen(overview=None, problem="No scheduler answers."), 100))


def test_ends_are_counted_by_the_minute():
    minutes = per_minute([NOW - 1, NOW - 59, NOW - 61, NOW - 60 * MINUTES - 1], NOW)
    assert (len(minutes), minutes[-1], minutes[-2], sum(minutes)) == (MINUTES, 2, 1, 3)
