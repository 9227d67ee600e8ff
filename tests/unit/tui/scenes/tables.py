"""Scenes of tables, of the lists of slots and runs among them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.support.dashboard import text_of
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage
from tui.screens.confirm import Confirm
from tui.screens.job import JobScreen
from tui.screens.slots import SlotsScreen
from tui.store.filter import parse_filter
from tui.widgets.slot_table import SlotTable


async def open_opens(s: Stage, key: str) -> None:
    job_id = s.jobs.cursor_id
    await s.press(key)
    await wait_for(lambda: isinstance(s.app.screen, JobScreen) and s.app.screen.job_id == job_id)


def cursor(keys_before: str, row: Callable[[Stage], int]) -> Callable[[Stage, str], Awaitable[None]]:
    async def cursor_moves(s: Stage, key: str) -> None:
        await s.press(*keys_before.split(), key)
        await wait_for(lambda: s.app.index.row_of(s.jobs.cursor_id or "") == row(s))

    return cursor_moves


async def mark_marks(s: Stage, key: str) -> None:
    first = s.jobs.cursor_id
    await s.press(key)
    await wait_for(lambda: s.jobs.marks == {first})
    await wait_for(lambda: s.app.index.row_of(s.jobs.cursor_id or "") == 1)
    await s.press("k", key)
    await wait_for(lambda: not s.jobs.marks)


async def mark_all_marks_what_matches(s: Stage, key: str) -> None:
    s.app.show_jobs(filter=parse_filter("state:queued"))
    await s.press(key)
    await wait_for(lambda: s.jobs.marks == set(s.app.index) and len(s.jobs.marks) > 1)


async def unmark_all_unmarks(s: Stage, key: str) -> None:
    await s.press("space", "space", "space")
    await wait_for(lambda: len(s.jobs.marks) == 3)
    await s.press(key)
    await wait_for(lambda: not s.jobs.marks)


async def slots_screen(s: Stage) -> SlotTable:
    await s.press("6")
    await wait_for(lambda: isinstance(s.app.screen, SlotsScreen) and s.app.screen.query("#slots"))
    await s.pilot.pause()
    screen = s.app.screen
    assert isinstance(screen, SlotsScreen)
    return screen.table


async def list_filters(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    before = len(table.rows)
    await s.press(key)
    await s.press(*"lab-2", "enter")
    await wait_for(lambda: 0 < len(table.rows) < before)


async def list_copies(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    await s.press(key)
    await wait_for(lambda: s.app.clipboard == table.cursor_id)


async def list_goes_back(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    table.want("lab-2")
    await s.press(key)
    await wait_for(lambda: table.wanted == "")
    await s.press(key)
    await wait_for(lambda: s.app.screen is s.overview)


async def slot_is_marked(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    await s.press(key, key)
    await wait_for(lambda: table.marks == {"lab-1/s0", "lab-1/s1"} and "2 marked" in text_of(s.played))
    await s.press("d", "enter")
    await wait_for(lambda: [d.targets for d in s.app.operations] == [("lab-1/s0", "lab-1/s1")])
    await wait_for(lambda: not table.marks)


async def all_slots_are_marked(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    await s.press("slash", *"lab-2", "enter", key)
    await wait_for(lambda: table.marks and all(name.startswith("lab-2/") for name in table.marks))
    await s.press("escape")
    await wait_for(lambda: not table.marks and table.wanted == "lab-2")


async def trouble_comes_first(s: Stage, key: str) -> None:
    table = await slots_screen(s)
    s.played.model.lab[5].state = "quarantined"
    s.played.play(1)
    s.played.draw()
    await s.press(key)
    await wait_for(lambda: table.rows[0] == f"{s.played.model.lab[5].agent}/{s.played.model.lab[5].name}")


def holds(verb: str) -> Callable[[Stage, str], Awaitable[None]]:
    async def asks_and_holds(s: Stage, key: str) -> None:
        table = await slots_screen(s)
        await s.press("j", key)
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        await wait_for(lambda: f"$ qgjob agents {verb} lab-1/s1" in text_of(s.played))
        await s.press(
            *([] if verb == "resume" else ["o", "k", "enter"]), *(["y"] if verb == "resume" else [])
        )
        said = "" if verb == "resume" else "ok"
        wanted = [(f"agents {verb}", (table.cursor_id,), said)]
        await wait_for(lambda: [(d.verb, d.targets, d.argument) for d in s.app.operations] == wanted)

    return asks_and_holds
