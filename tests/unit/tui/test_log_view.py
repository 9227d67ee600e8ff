"""The log view: pinned while lines are dropped, nothing lost in silence, only visible lines parsed."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from bus_schemas.logs import StoredChunk
from tests.support.pictures import lines_of
from tests.support.wait import wait_for
from tui.store.log import LogBuffer
from tui.widgets.log_view import LogView

HOSTILE = (
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b[2J\x1b[1;1H",
    "\x1b[?1049h",
    "\x1b]0;title\x07",
    "\x1bc",
    "\x9b2J",
    "\r\n",
    "\t",
    "日本語",
    "e\u0301\u0301\u0301\u0301",
    "👩‍👩‍👧‍👦",
    "\u202e",
    "\x1b[31m",
    "\x1b[38;5;999m",
    "\x00\x07\x08",
    "plain text ",
    "x" * 5000,
    "\ud800",
)


class OneLog(App[None]):
    """An app that shows nothing but a log."""

    CSS = "LogView { border: round white; height: 1fr; }"

    def compose(self) -> ComposeResult:
        yield LogView("log")

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)


@asynccontextmanager
async def one_log(
    buffer: LogBuffer | None = None, size: tuple[int, int] = (60, 22)
) -> AsyncGenerator[tuple[LogView, Pilot[None]]]:
    app = OneLog()
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        app.view.show(LogBuffer() if buffer is None else buffer)
        app.view.focus()
        await pilot.pause()
        yield app.view, pilot


def write(view: LogView, count: int, *, stream: str = "out") -> None:
    buffer = view.buffer
    text = "".join(f"line {buffer.end + i}\n" for i in range(count))
    buffer.add(
        StoredChunk.model_validate(
            {
                "stream_seq": buffer.sources[0].last_seq + 1,
                "attempt": 1,
                "at": 1.0,
                "parts": ((stream, text),),
            }
        )
    )
    view.sync()


def screen(view: LogView) -> list[str]:
    return lines_of(cast("App[Any]", view.app))


def first_line(view: LogView) -> str:
    return screen(view)[1].strip("│ ")


async def test_it_follows_the_end() -> None:
    async with one_log() as (view, pilot):
        write(view, 100)
        await pilot.pause()
        assert "line 99" in screen(view)[20]
        write(view, 5)
        await pilot.pause()
        assert "line 104" in screen(view)[20]
        assert "following" in screen(view)[21]


async def test_a_reader_stays_where_he_reads_while_old_lines_are_dropped() -> None:
    async with one_log(LogBuffer(max_lines=512)) as (view, pilot):
        write(view, 600)
        await pilot.press("up", "up")
        reading = first_line(view)
        assert reading == "line 578"
        for _ in range(8):
            write(view, 40)
            await pilot.pause()
            assert first_line(view) == reading
        assert view.buffer.first > 0
        assert "320 new below" in screen(view)[21]
        assert f"{view.buffer.first:,} dropped" in screen(view)[0]
        assert round(view.scroll_y) == view.top - view.buffer.first


async def test_when_the_line_itself_is_dropped_the_oldest_that_is_left_is_shown() -> None:
    async with one_log(LogBuffer(max_lines=256)) as (view, pilot):
        write(view, 250)
        await pilot.press("home")
        assert first_line(view) == "line 0"
        write(view, 600)
        await pilot.pause()
        assert first_line(view) == f"line {view.buffer.first}"
        assert not view.following


async def test_walking_down_to_the_end_follows_again() -> None:
    async with one_log() as (view, pilot):
        write(view, 100)
        await pilot.press("up")
        assert not view.following
        write(view, 3)
        assert view.new_below == 3
        await pilot.press("end")
        assert view.following
        assert view.new_below == 0


async def test_only_visible_lines_are_parsed() -> None:
    async with one_log() as (view, pilot):
        before = view.lines_parsed
        for _ in range(10):
            write(view, 1000)
        await pilot.pause()
        # Twenty lines are visible; a layout or two may draw them again.
        assert view.lines_parsed - before <= 20 * 8


async def test_nothing_new_paints_nothing() -> None:
    async with one_log() as (view, pilot):
        write(view, 100)
        await pilot.pause()
        before = view.lines_painted
        for _ in range(5):
            view.sync()
        await pilot.pause()
        assert view.lines_painted == before


async def test_that_it_is_not_followed_any_more_is_said_without_painting_a_line() -> None:
    async with one_log() as (view, pilot):
        write(view, 100)
        await pilot.pause()
        before = view.lines_painted
        await pilot.press("f")
        await pilot.pause()
        assert view.lines_painted == before
        assert "paused" in screen(view)[-1]


async def test_a_hostile_log_draws_as_text_of_the_right_width() -> None:
    dice = random.Random(5)
    async with one_log(size=(50, 30)) as (view, pilot):
        for seq in range(1, 120):
            text = "".join(dice.choice(HOSTILE) for _ in range(6)).encode("utf-8", "replace").decode()
            parts = ((dice.choice(("out", "err", "sys")), text + dice.choice(("\n", ""))),)
            view.buffer.add(
                StoredChunk.model_validate({"stream_seq": seq, "attempt": 1, "at": 1.0, "parts": parts})
            )
            view.sync()
        await pilot.pause()
        for y in range(view.size.height):
            strip = view.render_line(y)
            assert strip.cell_length == view.size.width
            assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in strip.text)
        for key in ("up", "pageup", "home", "right", "right", "left", "t"):
            await pilot.press(key)
            for y in range(view.size.height):
                strip = view.render_line(y)
                assert strip.cell_length == view.size.width
                assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in strip.text)


async def test_stderr_has_a_mark_that_needs_no_colour() -> None:
    async with one_log() as (view, pilot):
        write(view, 1, stream="err")
        write(view, 1)
        await pilot.pause()
        assert "▌ line 0" in screen(view)[1]
        assert "▌" not in screen(view)[2]


async def test_an_empty_log_says_so() -> None:
    async with one_log() as (view, pilot):
        assert any("No output yet." in line for line in screen(view))
        view.buffer.close()
        view.sync()
        await wait_for(lambda: any("No output." in line for line in screen(view)))
        view.problem = "The server is there, but no scheduler answers."
        view.sync()
        await pilot.pause()
        assert any("no scheduler answers" in line for line in screen(view))


async def test_nothing_stays_where_fewer_lines_are_shown_than_before() -> None:
    async with one_log() as (view, pilot):
        write(view, 12)
        view.buffer.close()
        view.sync()
        view.find("line 3")
        await pilot.pause()
        assert sum("line" in row for row in screen(view)[1:-1]) == 12
        view.action_only()
        await pilot.pause()
        assert [row.strip("│ ▶") for row in screen(view)[1:3]] == ["line 3", ""]
        assert sum("line" in row for row in screen(view)[1:-1]) == 1
        view.action_only()
        await pilot.pause()
        assert sum("line" in row for row in screen(view)[1:-1]) == 12, "there is room for all of them"


async def test_what_was_seen_is_not_new_because_only_some_lines_were_shown_in_between() -> None:
    async with one_log() as (view, pilot):
        write(view, 100)
        await pilot.pause()
        view.find("line 3")
        view.action_previous_match()
        for _ in range(2):
            view.action_only()
            await pilot.pause()
        view.action_log_first()
        await pilot.pause()
        assert view.new_below == 0


async def test_what_a_long_log_was_not_yet_searched_for_is_found_all_the_same() -> None:
    async with one_log() as (view, pilot):
        write(view, 60_000)
        await pilot.pause()
        for wanted, found in (("line 50000", "line 50000"), ("line 300", "line 30099")):
            view.action_log_last()
            view.find(wanted)
            assert view.matches is not None
            assert not view.matches.complete
            view.action_previous_match()
            await pilot.pause()
            assert any(f"{found} " in row for row in screen(view)), "the last one, not the last so far"
        view.action_log_first()
        view.find("line 50000")
        view.action_next_match()
        await pilot.pause()
        assert any("line 50000" in row for row in screen(view))


async def test_what_was_found_is_not_looked_for_again_when_its_text_is_the_same() -> None:
    async with one_log() as (view, _):
        write(view, 100)
        view.find("line 3")
        matches = view.matches
        view.find("line 3")
        assert view.matches is matches
        view.find("line 4")
        assert view.matches is not matches
        view.find("")
        assert view.matches is None
