"""A log whose long lines are wrapped: every row of it can be read, whatever it is made of."""

from __future__ import annotations

import re

from textual.pilot import Pilot

from bus_schemas.logs import StoredChunk
from tests.unit.tui.test_log_view import one_log, screen, write
from tui.widgets.log_view import LogView

WIDTH = 60


def add(view: LogView, text: str) -> None:
    seq = view.buffer.sources[0].last_seq + 1
    view.buffer.add(StoredChunk(stream_seq=seq, attempt=1, at=1.0, parts=(("out", text),)))
    view.sync()


def numbered(count: int) -> str:
    """A line of words that can be told apart: `<0000><0001>…`."""
    return "".join(f"<{i:04}>" for i in range(count))


def words_on(view: LogView) -> set[str]:
    """The words on the screen, also those that are cut in two by the edge."""
    rows = "".join(
        re.sub(r"^│ ?[↪▶]? ?", "", row)[: WIDTH - 5].rstrip(" │█▂▃▄▅▆▇") for row in screen(view)[1:-1]
    )
    return set(re.findall(r"<\d{4}>", rows))


async def walked(view: LogView, pilot: Pilot[None], key: str, *, until_follows: bool) -> set[str]:
    """All words that were seen while a key was pressed until the end, or the beginning, was reached."""
    seen = words_on(view)
    for _ in range(200):
        before = screen(view)
        await pilot.press(key)
        await pilot.pause()
        seen |= words_on(view)
        if view.following if until_follows else screen(view) == before:
            return seen
    raise AssertionError("the end was never reached")


async def test_pages_of_wrapped_lines_leave_nothing_out_in_either_direction() -> None:
    async with one_log(size=(WIDTH, 22)) as (view, pilot):
        for _ in range(6):
            add(view, numbered(60) + "\n")  # 360 characters are seven rows
        words = {f"<{i:04}>" for i in range(60)}
        await pilot.press("w", "g")
        seen = await walked(view, pilot, "pagedown", until_follows=True)
        assert seen == words
        places: list[tuple[int, int]] = []
        for _ in range(20):
            places += view._places  # pyright: ignore[reportPrivateUsage]
            await pilot.press("pageup")
        assert set(places) == {(line, part) for line in range(6) for part in range(7)}
        assert view._places[0] == (0, 0)  # pyright: ignore[reportPrivateUsage]


async def test_a_line_that_is_taller_than_the_screen_is_walked_through_row_by_row() -> None:
    async with one_log(size=(WIDTH, 12)) as (view, pilot):
        add(view, "before\n" + numbered(300) + "\nafter\n")  # 1,800 characters are 33 rows
        await pilot.press("w", "g")
        assert "before" in screen(view)[1]
        seen = await walked(view, pilot, "down", until_follows=True)
        assert len(seen) == 300
        assert "after" in screen(view)[10]
        seen = await walked(view, pilot, "up", until_follows=False)
        assert len(seen) == 300
        assert "before" in screen(view)[1]


async def test_no_wide_character_is_lost_where_a_line_is_broken() -> None:
    async with one_log(size=(WIDTH, 22)) as (view, pilot):
        text = "".join(chr(0x4E00 + i) for i in range(200))
        add(view, "x" + text + "\n")
        await pilot.press("w", "g")
        await pilot.pause()
        assert "".join(c for row in screen(view) for c in row if c >= "\u4e00" and c < "\ua000") == text


async def test_what_was_found_is_on_the_screen_wherever_in_a_long_line_it_stands() -> None:
    async with one_log(size=(WIDTH, 14)) as (view, pilot):
        write(view, 30)
        add(view, numbered(300) + "NEEDLE" + numbered(300) + "\n")
        write(view, 30)
        view.find("NEEDLE")
        await pilot.press("g", "n")
        await pilot.pause()
        assert any("NEEDLE" in row for row in screen(view)[1:-1]), "not wrapped"
        view.find("NEEDLE")
        await pilot.press("w", "g", "n")
        await pilot.pause()
        assert any("NEEDLE" in row for row in screen(view)[1:-1]), "wrapped"
        view.find("line 45")
        await pilot.press("w")
        await pilot.press("g", "n")
        await pilot.pause()
        assert any("line 45" in row for row in screen(view)[1:-1]), "back at the left"
