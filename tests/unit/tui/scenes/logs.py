"""Scenes of a log, and of several as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest

from bus_schemas.logs import StoredChunk
from tests.support.dashboard import text_of
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage
from tui.screens.logs import LogsScreen
from tui.widgets.line_bar import FindBar
from tui.widgets.log_view import LogView


async def follow_toggles(s: Stage, key: str) -> None:
    log = await s.open()
    await wait_for(lambda: log.following)
    await s.press(key)
    await wait_for(lambda: not log.following)
    s.write(log, 2, 10)
    await wait_for(lambda: log.new_below == 10)
    await s.press(key)
    await wait_for(lambda: log.top + log.size.height == log.buffer.end)


async def times_are_shown(s: Stage, key: str) -> None:
    await s.open()
    await wait_for(lambda: "08:53:20 line" not in text_of(s.played))
    await s.press(key)
    await wait_for(lambda: "08:53:20 line" in text_of(s.played))


def log_moves(keys_before: str, top: Callable[[LogView], int]) -> Callable[[Stage, str], Awaitable[None]]:
    async def log_is_read(s: Stage, key: str) -> None:
        log = await s.open()
        await s.press(*keys_before.split(), key)
        await wait_for(lambda: log.top == top(log))
        await wait_for(lambda: log.following == (log.top + log.size.height >= log.buffer.end))

    return log_is_read


def log_aside(keys_before: str, text: str) -> Callable[[Stage, str], Awaitable[None]]:
    async def log_is_moved_aside(s: Stage, key: str) -> None:
        log = await s.open()
        log.buffer.add(
            StoredChunk(stream_seq=9, attempt=1, at=1.0, parts=(("out", "0123456789abcdefghij" * 40 + "\n"),))
        )
        await s.press(*keys_before.split(), key)
        await wait_for(lambda: f"│   {text}" in text_of(s.played))

    return log_is_moved_aside


async def logs_screen(s: Stage) -> LogView:
    s.app.open_logs([s.app.index[0], s.app.index[1]])
    await wait_for(lambda: isinstance(s.app.screen, LogsScreen) and s.app.screen.query("#log"))
    await s.pilot.pause()
    screen = s.app.screen
    assert isinstance(screen, LogsScreen)
    return screen.log_view


def finds(several: bool) -> Callable[[Stage, str], Awaitable[None]]:
    async def text_is_found(s: Stage, key: str) -> None:
        view = await (logs_screen(s) if several else s.open())
        s.write(view, 50, 30)
        await s.press(key)
        await wait_for(lambda: s.app.screen.query(FindBar))
        await s.press(*"line", "space", *"17", "enter")
        await wait_for(lambda: view.matches is not None and not s.app.screen.query(FindBar))
        await wait_for(lambda: "▶" in text_of(s.played) and "with line 17" in text_of(s.played))

    return text_is_found


def saves(several: bool) -> Callable[[Stage, str], Awaitable[None]]:
    async def output_is_saved(s: Stage, key: str) -> None:
        asked: list[list[str]] = []

        def save(job_ids: Sequence[str]) -> None:
            asked.append(list(job_ids))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(s.app, "save_logs", save)
            await (logs_screen(s) if several else s.open(s.app.index[0]))
            await s.press(key)
            await wait_for(
                lambda: asked == [[s.app.index[0], s.app.index[1]] if several else [s.app.index[0]]]
            )

    return output_is_saved


async def logs_go_back(s: Stage, key: str) -> None:
    await logs_screen(s)
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)


async def long_lines_are_wrapped(s: Stage, key: str) -> None:
    view = await s.open()
    long = "word " * 100 + "end-of-it"
    view.buffer.add(StoredChunk(stream_seq=9, attempt=1, at=1.0, parts=(("out", long + "\n"),)))
    s.played.draw()
    await wait_for(lambda: "end-of-it" not in text_of(s.played))
    await s.press(key)
    await wait_for(lambda: "end-of-it" in text_of(s.played) and "↪" in text_of(s.played))


async def next_match_is_shown(s: Stage, key: str) -> None:
    view = await s.open()
    view.action_log_first()
    view.find("9")
    await s.press(key, key)
    await wait_for(lambda: "▶ line 19" in text_of(s.played))


async def lines_are_copied(s: Stage, key: str) -> None:
    view = await s.open()
    s.write(view, 50, 1)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard.splitlines()[-1:] == ["line 200"])
    assert len(s.app.clipboard.splitlines()) == view.size.height
    view.find("line 19")
    await s.press("N", key)
    await wait_for(lambda: s.app.clipboard == "line 199")


async def match_before_is_shown(s: Stage, key: str) -> None:
    view = await s.open()
    view.find("line 1")
    await s.press(key, key)
    await wait_for(lambda: "▶ line 198" in text_of(s.played))


async def only_matches_are_shown(s: Stage, key: str) -> None:
    view = await s.open()
    view.find("7")
    await s.press(key)
    await wait_for(lambda: "line 197" in text_of(s.played) and "line 198" not in text_of(s.played))
    await s.press(key)
    await wait_for(lambda: "line 198" in text_of(s.played))
