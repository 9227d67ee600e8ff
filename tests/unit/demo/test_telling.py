"""What a person sees: while it runs, and at the end."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from qgjob.cli.commands.demo import tell_report
from qgjob.cli.display.output import Output
from qgjob.demo.report import make_report
from qgjob.demo.show import DrawnShow, PlainShow
from tests.support.clock import ManualClock
from tests.unit.demo.things import World


def told(world: World) -> tuple[str, str]:
    """stdout and stderr of the end of a demo."""
    out, err = io.StringIO(), io.StringIO()
    lines = {job.job_id: "AssertionError: \x1b[2J1 != 2" for job in world.jobs}
    report = make_report(world.plan, world.record, lines, slots=1, now=200.0)
    tell_report(Output(out, err), world.plan, report, Path("/"))
    return out.getvalue(), err.getvalue()


def test_the_end_of_a_good_demo() -> None:
    world = World()
    world.end_all()
    out, err = told(world)
    assert "qgjob: 2 installs, 6.0 s" in out
    assert "first come, first served: 4 installs, 12.0 s" in out
    assert "installs made          1   1   2" in out
    assert "Try next:" in out
    assert err == ""


def test_output_of_tests_cannot_move_the_cursor() -> None:
    world = World()
    world.end_all()
    assert "AssertionError: \\x1b[2J1 != 2" in told(world)[0]


def test_the_end_of_one_that_went_otherwise() -> None:
    world = World()
    world.end_all(v1_a="errored")
    out, err = told(world)
    assert "Try next:" not in out
    assert "other ends" in out
    assert err == "Error: tests/a.py of v1 errored instead of passed.\n"


def test_a_demo_without_a_terminal_tells_pushes_failures_and_that_it_goes_on() -> None:
    world, clock, lines = World(), ManualClock(), list[str]()
    with PlainShow(world.plan, lines.append, clock) as show:
        show.say("starting")
        show.on_push(world.plan.pushes[0])
        show.update(world.record)
        world.end_all()
        show.update(world.record)
        show.update(world.record)
        clock.advance(5)
        show.update(world.record)
    assert lines == [
        "starting",
        "CI pushes 1 test of v1 (some) with priority 5",
        "failed: tests/b.py of v2",
        "4 of 4 jobs have ended, 2 installs",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_drawing_has_a_line_for_each_slot_and_fits(width: int) -> None:
    world, clock = World(), ManualClock(now=104.0)
    world.start(world.jobs[0], "s0", 101.0)
    world.start(world.jobs[1], "s1", 101.0)
    world.run(world.jobs[1], 102.0, install_s=1.0)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, height=30, color_system=None)
    with DrawnShow(world.plan, console, print, clock) as show:
        show.say("hello")
        show.update(world.record)
    last = screen.getvalue().rpartition("qgjob demo")[2]
    assert "s0" in last
    assert "s1" in last
    if width >= 80:
        assert "v1 installing" in last
        assert "v2 a" in last
        assert "0/4" in last
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "qgjob demo" + last).splitlines()
    assert max(map(len, lines)) <= width


def test_a_note_ends_the_drawing_and_stays() -> None:
    world, screen, notes = World(), io.StringIO(), list[str]()
    console = Console(file=screen, force_terminal=True, width=80)
    with DrawnShow(world.plan, console, notes.append, ManualClock()) as show:
        show.update(world.record)
        show.note("Stopping.")
        drawn = screen.getvalue()
        show.update(world.record)
    assert notes == ["Stopping."]
    assert screen.getvalue() == drawn, "nothing is drawn over the note"
