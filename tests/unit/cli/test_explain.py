"""What `explain` prints of an answer."""

from __future__ import annotations

import io
from typing import Any, cast

from bus_schemas.explain import ExplainAnswer, SlotsWhy
from qgjob.cli.commands.explain import note_which_job, show
from qgjob.cli.display.output import Output
from qgjob.errors import UnreachableError


def shown(*rows: SlotsWhy, total: int) -> list[str]:
    out = io.StringIO()
    answer = ExplainAnswer(
        job_id="j_1",
        state="running",
        attempt=1,
        summary="It runs on lab-1/s1.",
        slots=rows,
        slots_total=total,
    )
    show(Output(out, io.StringIO()), answer, 0.0)
    return out.getvalue().splitlines()[1:]


def test_of_a_job_that_has_its_slot_the_others_are_not_announced() -> None:
    row = SlotsWhy(kind="chosen", why="it runs there", count=1, slots=("lab-1/s1",))
    assert shown(row, total=4) == ["It runs on lab-1/s1."]


def test_of_a_job_that_waits_every_slot_is_in_a_line() -> None:
    busy = SlotsWhy(kind="busy", why="it is busy", count=2, slots=("lab-1/s1", "lab-1/s2"))
    rest = SlotsWhy(kind="labels", why="it lacks emulator", count=1)
    assert shown(busy, rest, total=3)[1:] == [
        "Slots (3):",
        "  lab-1/s1, lab-1/s2: it is busy",
        "  1 slot: it lacks emulator",
    ]


class WithoutStore:
    """A client of a lab whose projection does not answer."""

    async def run_in_short(self, run_id: str) -> None:
        raise UnreachableError(f"The store is away; nothing is known of {run_id}.")


async def test_how_many_of_a_run_wait_is_left_out_while_the_projection_cannot_say() -> None:
    err = io.StringIO()
    await note_which_job(Output(io.StringIO(), err), cast("Any", WithoutStore()), "r_1")
    assert not err.getvalue()
