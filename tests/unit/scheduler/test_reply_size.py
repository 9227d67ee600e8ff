"""Answers stay below the largest message."""

from __future__ import annotations

from bus_schemas.agents import GroupRef
from bus_schemas.holds import SlotHold
from bus_schemas.queries import GroupView, Overview, PauseView
from qgjob.scheduler.queries.reply_size import fit_overview

LIMIT = 2**20
NOTE = "é" * 4000


def overview(holds: int, pauses: int) -> Overview:
    group = GroupRef(capability="any", org_id="acme", app_version_id="v1")
    return Overview(
        at=1.0,
        waiting=7,
        groups=tuple(GroupView(group=group, waiting=n) for n in range(3)),
        groups_total=3,
        holds=tuple(
            SlotHold(name=f"lab/{n}", kind="paused", by="ann", since=1.0, note=NOTE) for n in range(holds)
        ),
        pauses=tuple(PauseView(org_id=f"o{n}", by="ann", at=1.0, note=NOTE) for n in range(pauses)),
    )


def test_an_overview_that_fits_is_left_alone() -> None:
    small = overview(2, 2)
    assert Overview.decode(fit_overview(small, LIMIT)) == small


def test_an_overview_of_many_long_notes_is_cut_and_keeps_its_numbers() -> None:
    data = fit_overview(overview(200, 1000), LIMIT)
    assert len(data) <= LIMIT
    seen = Overview.decode(data)
    assert seen.waiting == 7
    assert seen.groups_total == len(seen.groups) == 3
    assert 0 < len(seen.holds) < 200
    assert 0 < len(seen.pauses) < 1000
