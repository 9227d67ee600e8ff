"""What was drawn goes without the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from textual.strip import Strip

from tests.unit.tui.scenes.stage import Stage, stage
from tui import strips


@pytest.fixture(autouse=True)
def letting_go() -> Iterator[None]:
    before = Strip.divide
    strips.let_go()
    yield
    Strip.divide = before
    gc.enable()
    gc.set_debug(0)
    gc.garbage.clear()


def left_lines() -> int:
    """How many lines of the screen only the collector finds."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    found = sum(isinstance(thing, Strip) for thing in gc.garbage)
    gc.set_debug(0)
    gc.garbage.clear()
    return found


async def test_lines_that_others_took_the_place_of_are_gone() -> None:
    played = stage()
    async with played.app.run_test(size=(200, 60)) as pilot:
        shown = Stage(played, pilot)
        view = await shown.open()
        await pilot.pause()
        gc.collect()
        gc.disable()
        before = view.lines_painted
        for number in range(5):
            shown.write(view, number + 2, 100)
            await pilot.pause()
        assert view.lines_painted - before > 100
        assert left_lines() == 0


def test_a_line_that_is_cut_nowhere_is_itself_and_others_are_cut() -> None:
    line = Strip.blank(10)
    assert line.divide([10]) == [line]
    assert [part.cell_length for part in line.divide([4, 10])] == [4, 6]
    assert line.divide([4, 10]) is line.divide([4, 10])
