"""Scenes of the overview."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.widgets import Input

from tests.support.dashboard import text_of
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage
from tui.screens.confirm import Confirm
from tui.screens.logs import LogsScreen
from tui.store.filter import parse_filter
from tui.widgets.agent_table import AgentTable
from tui.widgets.group_table import GroupTable
from tui.widgets.job_table import JobTable
from tui.widgets.line_bar import FilterBar
from tui.widgets.queue_panel import QueuePanel


def panel(
    kind: type[QueuePanel | JobTable | AgentTable | GroupTable],
) -> Callable[[Stage, str], Awaitable[None]]:
    async def goes_to_a_panel(s: Stage, key: str) -> None:
        s.overview.set_focus(None)
        await s.press(key)
        await wait_for(lambda: isinstance(s.overview.focused, kind))
        await wait_for(lambda: len([w for w in s.overview.query("#panels > *") if w.display]) == 4)
        await s.press(key)
        await wait_for(lambda: [type(w) for w in s.overview.query("#panels > *") if w.display] == [kind])
        await s.press(key)
        await wait_for(lambda: len([w for w in s.overview.query("#panels > *") if w.display]) == 4)

    return goes_to_a_panel


async def zoom_shows_one_panel(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: [w.id for w in s.overview.query("#panels > *") if w.display] == ["jobs"])
    await s.press(key)
    await wait_for(lambda: len([w for w in s.overview.query("#panels > *") if w.display]) == 4)


async def filter_filters(s: Stage, key: str) -> None:
    before = len(s.app.index)
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen.focused, Input))
    await s.press(*"state:running")
    await wait_for(lambda: 0 < len(s.app.index) < before)
    await s.press("enter")
    await wait_for(lambda: s.jobs.has_focus and not s.overview.query(FilterBar))
    await wait_for(lambda: "/state:running" in text_of(s.played))
    await s.press("escape")
    await wait_for(lambda: len(s.app.index) == before)


async def order_changes(s: Stage, key: str) -> None:
    await s.press(key)
    await wait_for(lambda: s.app.index.order == "work")
    await wait_for(lambda: s.app.index[0] == s.jobs.cursor_id)


async def order_goes_back(s: Stage, key: str) -> None:
    await s.press("o", key)
    await wait_for(lambda: s.app.index.order == "latest")


async def cancel_asks_and_cancels(s: Stage, key: str) -> None:
    job_id = s.running()
    s.jobs.move_to_id(job_id)
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, Confirm))
    await wait_for(lambda: f"$ qgjob cancel {job_id}" in text_of(s.played))
    await s.press("n")
    await wait_for(lambda: not s.app.cancelled)
    await s.press(key, "y")
    await wait_for(lambda: s.app.cancelled == [job_id])


def asks(verb: str, *, ended: bool, in_job: bool, typed: str = "") -> Callable[[Stage, str], Awaitable[None]]:
    async def asks_and_does(s: Stage, key: str) -> None:
        job_id = next(i for i in s.app.index if (j := s.app.store.jobs.get(i)) and j.ended == ended)
        if in_job:
            await s.open(job_id)
        else:
            s.jobs.move_to_id(job_id)
        await s.press(key)
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        await wait_for(lambda: f"$ qgjob {verb} {job_id}" in text_of(s.played))
        await s.press(*typed, "enter" if typed else "y")
        await wait_for(
            lambda: [(d.verb, d.targets, d.argument) for d in s.app.operations] == [(verb, (job_id,), typed)]
        )

    return asks_and_does


async def copies(s: Stage, key: str) -> None:
    s.jobs.move_to(3)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard == s.jobs.cursor_id)


async def back_undoes_step_by_step(s: Stage, key: str) -> None:
    s.app.show_jobs(filter=parse_filter("state:running"))
    await s.press("z", "space")
    await s.press(key)
    await wait_for(lambda: not s.jobs.marks)
    await wait_for(lambda: s.app.index.filter)
    await s.press(key)
    await wait_for(lambda: not s.app.index.filter)
    await wait_for(lambda: not s.overview.query_one("#queue").display)
    await s.press(key)
    await wait_for(lambda: s.overview.query_one("#queue").display)


async def marked_are_merged(s: Stage, key: str) -> None:
    await s.press("space", "space", key)
    await wait_for(lambda: isinstance(s.app.screen, LogsScreen) and len(s.app.screen.job_ids) == 2)
