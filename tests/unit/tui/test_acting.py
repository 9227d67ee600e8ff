"""What is done to jobs and by the mouse, where several actions meet."""

from __future__ import annotations

import pytest
from textual.css.query import NoMatches
from textual.widgets import Button, Input

from tests.support.dashboard import PlayedDashboard, keys_shown, shown, text_of
from tests.support.lab.model import LabModel
from tests.support.wait import wait_for
from tests.unit.tui.scenes.runs import run_screen
from tests.unit.tui.scenes.stage import Stage, stage
from tui.actions.palette import ActionProvider
from tui.operations import catalog
from tui.screens.confirm import Confirm
from tui.screens.job import JobScreen
from tui.settings import Settings
from tui.store.filter import parse_filter
from tui.themes import LIGHT
from tui.widgets.line_bar import FilterBar


async def test_a_command_that_changes_something_is_refused_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    played = PlayedDashboard(LabModel(seed=4), read_only=True)
    said: list[str] = []

    def notify(message: str, **_: object) -> None:
        said.append(message)

    async with shown(played):
        monkeypatch.setattr(played.app, "notify", notify)
        played.app.run_command("pause acme")
        assert said == ["This dashboard is read-only."]
        assert not played.app.operations


async def test_read_only_binds_nothing_that_changes_anything() -> None:
    played = PlayedDashboard(LabModel(seed=4), read_only=True)
    played.play(60)
    played.live()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.jobs.move_to_id(s.running())
        await s.press("c")
        assert s.app.screen is s.overview
        assert "Cancel" not in {key.label for key in keys_shown(s.app)}
        assert not any(action.mutates for action in ActionProvider(s.app.screen).offered())
        assert "read-only" in text_of(played)
        await s.press("question_mark")
        assert "Cancel the job" not in text_of(played)
        await s.press("escape")
        await s.open()
        await s.press("c")
        assert isinstance(s.app.screen, JobScreen)


async def test_what_cannot_be_cancelled_is_greyed() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        ended = next(i for i in s.app.index if (j := s.app.store.jobs.get(i)) and j.ended)
        s.jobs.move_to_id(ended)
        s.overview.check_selection()
        assert s.overview.check_action("cancel", ()) is None
        assert s.overview.check_action("retry", ()) is True
        s.jobs.move_to_id(s.running())
        s.overview.check_selection()
        assert s.overview.check_action("cancel", ()) is True


async def test_all_marked_jobs_are_cancelled_with_one_question() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.app.show_jobs(filter=parse_filter("state:queued"))
        await s.press(*["space"] * 7, "c")
        text = text_of(played)
        assert "Cancel 7 jobs?" in text
        assert text.count("$ qgjob cancel j_") == 5
        assert "and 2 more" in text
        await s.press("y")
        assert len(s.app.cancelled) == 7


async def test_a_group_and_an_agent_show_their_jobs() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("3", "enter")
        assert s.app.index.filter.text.startswith("build:")
        assert s.jobs.has_focus
        assert len(s.app.index)
        await s.press("escape", "2", "enter")
        assert s.app.index.filter.text == "agent:lab-1"
        await s.press("2", "down", "enter")
        await wait_for(lambda: isinstance(s.app.screen, JobScreen))


async def test_a_wrong_filter_says_why_and_leaves_the_table_alone() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        before = len(s.app.index)
        await s.press("slash")
        await wait_for(lambda: s.overview.query(Input))
        s.overview.query_one(Input).value = "colour:red"
        await wait_for(lambda: "no field 'colour'" in text_of(played))
        assert len(s.app.index) == before
        await s.press("enter")
        assert s.overview.query(FilterBar)
        await s.press("escape")
        await wait_for(lambda: not s.overview.query(FilterBar))


async def test_a_click_on_a_title_orders_by_its_column() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        for title, order in (("TEST", "test"), ("BUILD", "build"), ("TOOK", "longest"), ("ENDED", "latest")):
            at = next(line for line in text_of(played).splitlines() if "TEST" in line and "ENDED" in line)
            await pilot.click(s.jobs, offset=(at.index(title) + 1, 1))
            await wait_for(lambda order=order: s.app.index.order == order)  # type: ignore[misc]


async def test_the_mouse_moves_the_cursor_and_opens() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await pilot.click("#jobs", offset=(10, 5))
        assert s.app.index.row_of(s.jobs.cursor_id or "") == 3
        await pilot.click("#jobs", offset=(10, 5), times=2)
        await wait_for(lambda: isinstance(s.app.screen, JobScreen))


async def test_the_wheel_scrolls_the_log_and_stops_following() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        log = await s.open()
        await pilot.pause()
        top = log.top
        log.scroll_relative(y=-3, animate=False)
        assert not log.following
        assert log.top == top - 3
        log.scroll_end(animate=False)
        await pilot.pause()
        assert log.following


async def test_closing_help_with_the_key_that_opened_it() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("question_mark", "question_mark")
        assert s.app.screen is s.overview
        with pytest.raises(NoMatches):
            s.overview.query_one(FilterBar)


async def test_where_a_note_is_typed_the_question_names_keys_that_are_no_letters() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.jobs.move_to_id(s.running())
        await s.press("c")
        assert {str(button.label) for button in s.app.screen.query(Button)} == {"Leave it  n", "Cancel it  y"}
        await s.press("n")
        s.app.run_command("pause acme")
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        await pilot.pause()
        assert {str(button.label) for button in s.app.screen.query(Button)} == {"Leave it  esc", "Pause  ⏎"}


async def test_a_short_theme_is_our_own_first_and_an_unknown_one_is_said() -> None:
    played = stage()
    async with shown(played):
        played.app.run_command("theme light")
        assert played.app.theme == LIGHT
        played.app.run_command("theme textual-light")
        assert played.app.theme == "textual-light"


async def test_an_unknown_theme_of_the_settings_is_said() -> None:
    played = stage()
    played.app.settings = Settings(theme="lite")
    async with shown(played) as pilot:
        await pilot.pause()
        assert any("no theme 'lite'" in str(n.message) for n in played.app._notifications)  # pyright: ignore[reportPrivateUsage]


async def test_from_a_run_the_next_job_is_the_next_of_the_run() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        screen = await run_screen(s)
        ids = screen.jobs.rows
        screen.jobs.move_to(0)
        await s.press("enter")
        await wait_for(lambda: isinstance(s.app.screen, JobScreen))
        await s.press("]", "]")
        job = s.app.screen
        assert isinstance(job, JobScreen)
        assert job.job_id == ids[2]
        await s.press("escape")
        await wait_for(lambda: s.app.screen is screen and screen.jobs.cursor_id == ids[2])


async def test_why_a_job_ended_can_be_read_in_full_on_a_narrow_screen() -> None:
    played = stage()
    job = next(
        j for i in played.store.jobs if (j := played.store.jobs.get(i)) and j.state == "failed" and j.attempts
    )
    facts = job.attempts[-1]
    assert facts.end is not None
    said = "the build's manifest is wrong:\n" + " ".join(f"word{n}" for n in range(12)) + " the end"
    facts.end = facts.end._replace(message=said)
    async with shown(played, (80, 24)) as pilot:
        played.app.open_job(job.job_id)
        await pilot.pause()
        played.store.jobs.changed.add(job.job_id)
        played.draw()
        await pilot.pause()
        text = " ".join(text_of(played).replace("│", " ").split())
        assert "word0 word1" in text
        assert "word11 the end" in text


async def test_what_has_to_be_typed_does_not_look_typed_already() -> None:
    played = stage()
    played.play(30, keep_waiting=150)
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.app.show_jobs(filter=parse_filter("state:queued"))
        await s.press("A", "c")
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        field = s.app.screen.query_one("#count", Input)
        assert str(len(s.jobs.marks)) not in field.placeholder
        await s.press("enter")
        assert isinstance(s.app.screen, Confirm)
        await s.press(*str(len(s.jobs.marks)), "enter")
        await wait_for(lambda: len(s.app.cancelled) >= 100)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (60, 16)])
@pytest.mark.parametrize("many", [5, 120])
async def test_what_a_question_is_answered_with_is_seen_however_long_the_names_are(
    size: tuple[int, int], many: int
) -> None:
    played = stage()
    targets = tuple(f"agent-{'x' * 200}/{number}" for number in range(many))
    operation = catalog.slots("agents drain", targets)
    async with shown(played, size) as pilot:
        played.app.push_screen(Confirm(operation))
        await wait_for(lambda: isinstance(played.app.screen, Confirm) and played.app.screen.query("#yes"))
        await pilot.pause()
        text = text_of(played)
        assert "Leave it  esc" in text
        assert "Drain  ⏎" in text
        assert ("how many they are" in text) == (many >= catalog.MANY)
        assert "a note for the others" in text
        await pilot.resize_terminal(80, 20)
        await wait_for(lambda: "Drain  ⏎" in text_of(played))


async def test_what_is_done_to_another_job_leaves_the_marks_as_they_are() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("space", "space")
        assert len(s.jobs.marks) == 2
        other = next(job_id for job_id in s.app.index if job_id not in s.jobs.marks)
        for job_id, left in ((other, 2), (next(iter(s.jobs.marks)), 0)):
            job = s.app.store.jobs.get(job_id)
            assert job is not None
            s.overview.unmark(catalog.cancel([job]))
            assert len(s.jobs.marks) == left


@pytest.mark.parametrize("size", [(80, 20), (80, 12), (40, 12), (200, 15), (20, 8)])
async def test_the_table_that_keys_go_to_is_seen_on_a_low_screen(size: tuple[int, int]) -> None:
    played = stage()
    async with shown(played, size) as pilot:
        s = Stage(played, pilot)
        assert s.overview.focused is s.jobs
        assert s.jobs.size.height >= 2, "a title and a job"
        await s.press("2")
        assert s.overview.focused is not s.jobs
        assert s.overview.focused is not None
        assert s.overview.focused.size.height >= 2
        await s.press("4")
        assert s.overview.focused is s.jobs
        assert s.jobs.size.height >= 2


async def test_enter_on_an_idle_slot_shows_what_ran_there() -> None:
    played = PlayedDashboard(LabModel(seed=5, agents=2, slots=2))
    played.publish_state()
    played.live()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("2", "j", "enter")
        await wait_for(lambda: s.app.index.filter.text == "slot:lab-1/s0")
        await s.press("escape", "2", "g", "enter")
        await wait_for(lambda: s.app.index.filter.text == "agent:lab-1")


async def test_enter_on_slots_that_share_a_line_shows_what_ran_on_their_agent() -> None:
    played = PlayedDashboard(LabModel(seed=5, agents=2, slots=7))
    played.publish_state()
    played.live()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("2", "j", "enter")
        await wait_for(lambda: s.app.index.filter.text == "agent:lab-1")


async def test_all_are_marked_though_some_are_still_looked_for() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        every = set(s.app.index)
        s.app.index.show(order="newest")
        assert not s.app.index.complete
        s.jobs.action_mark_all()
        assert s.jobs.marks == every
