"""The job table: a cursor that stays on its job, and work that follows what is visible alone."""

from __future__ import annotations

from collections.abc import Iterable

from bus_schemas.queries import JobView
from tests.support.dashboard import PlayedDashboard, shown, text_of
from tests.support.lab.model import LabModel
from tests.support.wait import wait_for
from tui.screens.overview import OverviewScreen
from tui.store.filter import parse_filter
from tui.widgets.columns import Column, lay_out
from tui.widgets.job_table import JobTable

HEIGHT = 24


def played_with(jobs: int, *, seconds: int = 0) -> PlayedDashboard:
    played = PlayedDashboard(LabModel(seed=9))
    for seq, event in enumerate(played.model.submit(jobs, priority=5), start=1):
        played.store.apply_event(event, seq)
    played.seq = jobs
    if seconds:
        played.play(seconds)
    played.live()
    return played


def table_of(played: PlayedDashboard) -> JobTable:
    screen = played.app.screen
    assert isinstance(screen, OverviewScreen)
    return screen.jobs


def view(number: int, **more: object) -> JobView:
    return JobView.model_validate(
        {
            "job_id": f"j_{number}",
            "run_id": "r_1",
            "org_id": "acme",
            "app_version_id": "v1",
            "test": f"tests/test_{number}.py",
            "position": number,
            "state": "queued",
            "priority": 5,
            "runner": "pytest",
            "created_at": 1.76e9,
            **more,
        }
    )


def seeing(jobs: Iterable[JobView]) -> PlayedDashboard:
    played = PlayedDashboard()
    played.live()
    for job in jobs:
        played.store.apply_view(job)
    return played


async def test_the_cursor_stays_on_its_job_when_others_come_before_it() -> None:
    played = seeing(view(number) for number in range(100))
    async with shown(played) as pilot:
        played.app.show_jobs(order="newest")
        table = table_of(played)
        table.move_to(50)
        await pilot.pause()
        job_id = table.cursor_id
        at = 50 - round(table.scroll_y)
        for number in range(100, 130):
            played.store.apply_view(view(number, created_at=1.77e9))
        played.draw()
        await pilot.pause()
        assert table.cursor_id == job_id
        assert played.app.index.row_of(job_id or "") == 80
        assert 80 - round(table.scroll_y) == at, "the row stands where it stood"


async def test_an_unmoved_cursor_stays_at_the_top() -> None:
    played = seeing(view(number) for number in range(20))
    async with shown(played):
        played.app.show_jobs(order="newest")
        table = table_of(played)
        played.store.apply_view(view(99, created_at=1.77e9))
        played.draw()
        assert table.cursor_id == "j_99"
        assert table.scroll_y == 0


async def test_the_cursor_goes_to_the_neighbour_when_its_job_is_filtered_away() -> None:
    played = seeing(view(number, org_id="acme" if number % 2 else "globex") for number in range(20))
    async with shown(played):
        played.app.show_jobs(order="newest")
        table = table_of(played)
        table.move_to(19)
        played.app.show_jobs(filter=parse_filter("org:globex"))
        assert table.cursor_id in {f"j_{n}" for n in range(0, 20, 2)}
        assert table.virtual_size.height == 11
        played.app.show_jobs(filter=parse_filter("nothing"))
        assert table.cursor_id is None
        assert "No job matches the filter." in text_of(played)


async def test_marks_are_of_jobs_and_go_with_them() -> None:
    played = seeing(view(number) for number in range(5))
    async with shown(played) as pilot:
        table = table_of(played)
        await pilot.press("space", "space")
        marked = set(table.marks)
        played.app.show_jobs(order="priority")
        assert table.marks == marked
        assert "2 marked" in text_of(played)
        played.store.jobs.drop(min(marked))
        played.draw()
        assert table.marks == {max(marked)}


async def test_marking_goes_on_behind_what_is_marked_when_jobs_change_places() -> None:
    played = seeing(view(number, created_at=1.76e9 - number) for number in range(6))
    async with shown(played) as pilot:
        played.app.show_jobs(order="newest")
        table = table_of(played)
        await pilot.press("space", "space", "space")
        assert table.cursor_id == "j_3"
        played.app.show_jobs(order="priority")  # the last is the first now: the next three are marked
        for number in range(6):
            played.store.apply_view(view(number, priority=number + 1, updated_at=1.77e9))
        played.draw()
        await pilot.press("space")
        assert table.marks == {f"j_{number}" for number in range(4)}
        table.move_to_id("j_3")
        await pilot.press("space")
        assert table.marks == {"j_0", "j_1", "j_2"}, "a mark is taken off"
        assert table.cursor_id == "j_2"


async def test_what_is_looked_for_is_shown_from_its_first_row() -> None:
    played = seeing(view(number, org_id="acme" if number % 2 else "globex") for number in range(100))
    async with shown(played) as pilot:
        played.app.show_jobs(order="priority")
        table = table_of(played)
        table.move_to_id("j_51")
        for key, cursor in (("/", "j_51"), ("a", "j_51"), ("escape", "j_51"), ("/", "j_51"), ("g", "j_0")):
            await pilot.press(key)
            await pilot.pause()
            assert table.cursor_id == cursor
        assert table.scroll_y == 0


async def test_marks_end_with_what_was_done_to_them() -> None:
    played = seeing(view(number) for number in range(5))
    async with shown(played) as pilot:
        table = table_of(played)
        await pilot.press("space", "space", "c", "escape")
        assert len(table.marks) == 2, "nothing was done"
        await pilot.press("c", "y")
        assert len(played.app.cancelled) == 2
        assert not table.marks


async def test_jobs_of_one_test_are_told_apart() -> None:
    played = PlayedDashboard()
    played.live()
    played.store.apply_view(view(1, variant="android-14"))
    played.store.apply_view(view(2, test="shard 1 of 2", tests=("a.py", "b.py")))
    async with shown(played, (200, 60)):
        assert "tests/test_1.py [android-14]" in text_of(played)
        assert "shard 1 of 2 (2 files)" in text_of(played)
        played.app.show_jobs(filter=parse_filter("android"))
        assert list(played.app.index) == ["j_1"]


async def test_only_visible_rows_are_drawn_however_many_there_are() -> None:
    played = played_with(3000)
    async with shown(played) as pilot:
        table = table_of(played)
        asked: list[str] = []
        original = table.cells

        def counting(row_id: str, widths: object) -> object:
            asked.append(row_id)
            return original(row_id, widths)  # type: ignore[arg-type]

        table.cells = counting  # type: ignore[method-assign,assignment]
        for key in ("down", "pagedown", "end", "home"):
            asked.clear()
            await pilot.press(key)
            assert len(set(asked)) <= 3 * HEIGHT


async def test_a_change_repaints_one_line() -> None:
    played = seeing(view(number) for number in range(200))
    async with shown(played) as pilot:
        played.app.show_jobs(order="newest")
        table = table_of(played)
        await pilot.pause()
        before = table.lines_painted
        played.store.apply_view(view(3, state="dispatched"))
        played.draw()
        await wait_for(lambda: table.lines_painted > before)
        await pilot.pause()
        assert table.lines_painted - before == 1


async def test_a_mark_repaints_its_line_and_that_of_the_cursor_and_is_said_in_the_border() -> None:
    played = seeing(view(number) for number in range(200))
    async with shown(played) as pilot:
        played.app.show_jobs(order="newest")
        table = table_of(played)
        await pilot.pause()
        before = table.lines_painted
        await pilot.press("space")
        await wait_for(lambda: table.lines_painted > before)
        await pilot.pause()
        assert table.lines_painted - before == 2
        assert "1 marked" in text_of(played)
        await pilot.press("space")
        await pilot.pause()
        assert "2 marked" in text_of(played)


async def test_a_change_out_of_sight_repaints_nothing() -> None:
    played = seeing(view(number) for number in range(200))
    async with shown(played) as pilot:
        played.app.show_jobs(order="newest")
        table = table_of(played)
        await pilot.pause()
        before = table.lines_painted
        played.store.apply_view(view(150, state="dispatched"))
        played.draw()
        await pilot.pause()
        assert table.lines_painted == before


async def test_a_hidden_screen_is_not_drawn_and_catches_up() -> None:
    played = played_with(50)
    async with shown(played) as pilot:
        table = table_of(played)
        played.app.open_job(played.app.index[0])
        await wait_for(lambda: played.app.screen.name == "job" and played.app.screen.is_mounted)
        await pilot.pause()
        before = table.lines_painted
        played.play(10)
        played.draw()
        await pilot.pause()
        assert table.lines_painted == before
        await pilot.press("escape")
        await wait_for(lambda: "running" in text_of(played))


async def test_hostile_names_draw_as_text() -> None:
    played = PlayedDashboard()
    played.live()
    evil = "\x1b]52;c;ZXZpbA==\x07[bold red]x[/]\u202e\n日本"
    played.store.apply_view(view(1, test=evil, org_id=evil, app_version_id=evil))
    async with shown(played) as pilot:
        played.app.index.update(played.store.take_changes().jobs)
        table_of(played).sync()
        await pilot.pause()
        text = text_of(played)
        assert "[bold red]x[/]" in text
        assert "\x1b" not in text
        await pilot.press("enter")
        await wait_for(lambda: played.app.screen.query("#card"))
        await pilot.pause()
        assert "\x1b" not in text_of(played)
        await pilot.press("c")
        await pilot.pause()
        assert "[bold red]x[/]" in text_of(played)


def test_columns_are_given_up_from_the_least_needed() -> None:
    columns = (
        Column("a", "A", 10, share=1),
        Column("b", "B", 5, spare=1),
        Column("c", "C", 5, spare=2),
        Column("d", "D", 5),
    )
    assert [c.key for c, _ in lay_out(columns, 40)] == ["a", "b", "c", "d"]
    assert [w for _, w in lay_out(columns, 40)] == [22, 5, 5, 5]
    assert [c.key for c, _ in lay_out(columns, 27)] == ["a", "b", "d"]
    assert [c.key for c, _ in lay_out(columns, 17)] == ["a", "d"]
    assert [c.key for c, _ in lay_out(columns, 3)] == ["a", "d"]


def test_a_column_for_much_text_leaves_the_others_some_of_the_room() -> None:
    columns = (Column("name", "NAME", 10, share=1), Column("note", "NOTE", 20, share=1, spare=1, beside=12))
    assert lay_out(columns, 40) == [(columns[0], 40)]
    assert lay_out(columns, 43) == [(columns[0], 16), (columns[1], 26)]
