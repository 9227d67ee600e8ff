"""What was drawn goes without the garbage collector, and no more is written than changed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.segment import Segment
from textual._compositor import ChopsUpdate
from textual._styles_cache import StylesCache
from textual.strip import Strip

from tests.unit.tui.scenes.stage import Stage, stage
from tui.platform import strip_patches


@pytest.fixture(autouse=True)
def letting_go() -> Iterator[None]:
    before, written = Strip.divide, ChopsUpdate.render_segments
    colours = StylesCache.get_inner_outer
    strip_patches.apply_patches()
    yield
    Strip.divide, ChopsUpdate.render_segments = before, written
    StylesCache.get_inner_outer = colours
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


async def test_what_a_closed_screen_has_drawn_is_gone() -> None:
    def drawn() -> int:
        gc.collect()
        return sum(isinstance(thing, StylesCache) for thing in gc.get_objects())

    async with stage().app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        before = drawn()
        await pilot.press("question_mark")
        await pilot.pause()
        assert drawn() > before + 2
        await pilot.press("escape")
        await pilot.pause()
        assert drawn() == before


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


@pytest.mark.parametrize(
    ("span", "written"),
    [
        ((0, 6, 8), "\x1b[1;7HWO"),
        ((0, 0, 6), "\x1b[1;1Hhello "),
        ((0, 4, 14), "\x1b[1;5Ho WORLD\x1b[1;12H|日"),
        ((0, 13, 16), "\x1b[1;13H日本"),
        ((0, 12, 13), "\x1b[1;13H日"),
        ((0, 11, 16), "\x1b[1;12H|日本"),
        ((0, 4, 13), "\x1b[1;5Ho WORLD\x1b[1;12H|日"),
        ((0, 13, 15), "\x1b[1;13H日本"),
        ((0, 14, 16), "\x1b[1;15H本"),
        ((0, 16, 20), ""),
    ],
)
def test_of_a_line_only_the_cells_that_changed_are_written(span: tuple[int, int, int], written: str) -> None:
    chops = [
        {0: Strip([Segment("hello "), Segment("WORLD")]), 11: Strip([Segment("|日本")]), 16: None},
    ]
    update = ChopsUpdate(chops, [span], [[11, 16, 20]])
    assert update.render_segments(Console(width=20, color_system=None)) == written


def test_wherever_it_is_cut_no_half_of_a_character_is_written() -> None:
    line = "日本|é\u0301語x🙂"
    width = Strip([Segment(line)]).cell_length
    spans = [(0, first, last) for first in range(width) for last in range(first + 1, width + 1)]
    for span in spans:
        update = ChopsUpdate([{0: Strip([Segment(line)])}], [span], [[width]])
        written = update.render_segments(Console(width=20, color_system=None)).partition("H")[2]
        assert written in line, span
        assert Strip([Segment(written)]).cell_length >= span[2] - span[1], span
