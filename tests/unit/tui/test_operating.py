"""What an operator needs at night: answers to every key, and nothing in the way of what he reads."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.widgets._toast import Toast

from qgjob.domain.lifecycle import BAD_ENDS
from tests.support.dashboard import PlayedDashboard, shown, text_of
from tests.support.lab.model import LabModel
from tests.support.wait import wait_for
from tests.unit.tui.scenes.replay import a_replay
from tests.unit.tui.scenes.stage import Stage, stage
from tui.operations import catalog
from tui.screens.confirm import Confirm
from tui.screens.job import JobScreen
from tui.screens.runs import RunScreen
from tui.store.filter import parse_filter
from tui.themes import LIGHT, ROUND
from tui.widgets.inks import inks_of, style_of
from tui.widgets.job_card import JobCard
from tui.widgets.lab_map import BUILD_INKS


def later() -> PlayedDashboard:
    """A lab in which more has failed."""
    played = PlayedDashboard(LabModel(seed=4, mean_test_s=15))
    played.play(120)
    played.live()
    return played


async def test_of_all_jobs_of_a_run_those_are_tried_again_that_failed() -> None:
    played = later()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        run = max(s.app.store.jobs.runs.latest(), key=lambda run: run.failed)
        s.app.open_run(run.run_id)
        await wait_for(lambda: isinstance(s.app.screen, RunScreen) and s.app.screen.query("#jobs"))
        await pilot.pause()
        screen = s.app.screen
        assert isinstance(screen, RunScreen)
        ids = screen.jobs.rows
        jobs = [job for row in range(len(ids)) if (job := s.app.store.jobs.get(ids[row]))]
        failed = [job.job_id for job in jobs if job.state in BAD_ENDS]
        assert 0 < len(failed) < sum(job.ended for job in jobs)
        await s.press("A", "r")
        await wait_for(lambda: isinstance(s.app.screen, Confirm))
        assert "Try again the" in text_of(played)
        await s.press("y")
        await wait_for(lambda: s.app.operations)
        assert sorted(s.app.operations[0].targets) == sorted(failed)


def test_where_none_or_all_failed_all_are_tried_again() -> None:
    jobs = later().store.jobs
    ended = [job for job_id in jobs if (job := jobs.get(job_id)) and job.ended]
    passed = [job for job in ended if job.state == "passed"]
    failed = [job for job in ended if job.state in BAD_ENDS]
    assert len(catalog.retry(passed).targets) == len(passed)
    assert len(catalog.retry(failed).targets) == len(failed)
    some = catalog.retry(passed[:1] + failed[:2])
    assert some.title == "Try again the 2 that failed of 3?"


async def test_of_more_jobs_than_are_looked_at_any_can_be_tried_again() -> None:
    played = PlayedDashboard(LabModel(seed=3, agents=1, slots=2, mean_test_s=2))
    played.play(30, keep_waiting=1500, run_size=1500)
    played.live()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        played.app.show_jobs(order="trouble")
        await wait_for(lambda: s.app.index.complete)
        await s.press("A", "r")
        await wait_for(lambda: isinstance(s.app.screen, Confirm))


async def test_a_question_about_nothing_is_answered() -> None:
    played = stage()
    async with played.app.run_test(notifications=True) as pilot:
        Stage(played, pilot).overview.confirm(catalog.retry([]))
        await wait_for(lambda: "None of these has ended." in text_of(played))


async def test_a_toast_covers_the_border_and_no_row() -> None:
    played = stage()
    async with played.app.run_test(size=(80, 24), notifications=True) as pilot:
        played.app.notify("qgjob agents drain: lab-1/s2")
        await wait_for(lambda: played.app.screen.query(Toast))
        await pilot.pause()
        toast = played.app.screen.query_one(Toast)
        assert (toast.region.y, toast.region.height) == (22, 1)
        assert "qgjob agents drain: lab-1/s2" in text_of(played).splitlines()[22]


async def test_a_long_alert_is_a_toast_of_one_line() -> None:
    played = stage()
    played.store.link.ever_answered = True
    async with played.app.run_test(size=(80, 24), notifications=True) as pilot:
        played.play(1)
        played.clock.advance(1)
        played.draw()
        played.model.lab[1].state, played.model.lab[1].note = "quarantined", "it fails at once " * 20
        played.play(1)
        played.clock.advance(1)
        played.draw()
        await wait_for(lambda: played.app.screen.query(Toast))
        await pilot.pause()
        toast = played.app.screen.query_one(Toast)
        assert (toast.region.y, toast.region.height) == (22, 1)
        assert "in quarantine: it fails at once" in text_of(played).splitlines()[22]


async def test_escape_leads_to_the_newest_once_all_else_is_undone() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("G")
        last = s.jobs.cursor_id
        await s.press("escape")
        assert s.jobs.cursor_id == s.app.index[0] != last
        played.play(20)
        played.draw()
        assert s.jobs.cursor_id == s.app.index[0]


async def test_while_older_jobs_are_read_a_filter_does_not_say_that_there_are_none() -> None:
    played = stage()
    async with shown(played) as pilot:
        played.store.link.snapshot_loading = True
        played.app.show_jobs(filter=parse_filter("org:nobody"))
        await pilot.pause()
        assert "so far; older ones are read" in text_of(played)
        played.store.link.snapshot_loading = False
        played.store.link.changed = True
        played.draw()
        await pilot.pause()
        assert "No job matches the filter." in text_of(played)


async def test_the_log_of_a_job_that_waits_leads_to_the_reason() -> None:
    played = PlayedDashboard(LabModel(seed=3, agents=1, slots=2, mean_test_s=50))
    played.play(30, keep_waiting=20, run_size=20)
    played.live()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        waiting = next(i for i in s.app.index if (j := s.app.store.jobs.get(i)) and j.state == "queued")
        for job_id, waits in ((waiting, True), (s.running(), False)):
            s.app.open_job(job_id)
            await wait_for(lambda: isinstance(s.app.screen, JobScreen))
            await pilot.pause()
            assert ("the job waits, Explain says why" in text_of(played)) == waits
            await s.press("escape")


def test_a_test_that_waited_long_and_failed_at_once_is_seen_in_its_time_line() -> None:
    played = later()
    jobs = played.store.jobs
    job = next(j for i in jobs if (j := jobs.get(i)) and j.state == "failed" and len(j.attempts) == 1)
    end = job.attempts[0].end
    assert end is not None
    assert job.queued_at is not None
    started = job.queued_at + 1800
    job.attempts[0].end = end._replace(started_at=started, running_at=started + 0.1, at=started + 1)
    card = JobCard(played.store, "card")
    card.job_id = job.job_id
    *_, line = card.draw(100, 5)
    bar = "".join(text for text, _ in line)
    assert "░█ " in bar, bar
    assert ("█", "bad") in line


async def test_the_queue_says_what_time_its_charts_show_but_not_of_a_tape_that_is_wound() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        assert "1 Queue · last " in text_of(played)
        s.app.show_replay(a_replay())
        played.draw()
        await pilot.pause()
        assert "1 Queue ─" in text_of(played)


async def test_a_theme_of_ours_that_the_environment_names_has_its_own_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEXTUAL_THEME", LIGHT)
    monkeypatch.setattr(vars(App)["theme"], "_default", LIGHT)  # as Textual reads it when it is imported
    played = stage()
    async with shown(played):
        assert played.app.theme == LIGHT
        assert played.app.theme_variables["background"].lower() == "#fbfbfa"


async def test_the_slots_of_a_lab_that_nearly_fits_are_told_and_what_keeps_one_from_work_is_read_whole() -> (
    None
):
    model = LabModel(seed=23, agents=4, slots=5)
    model.lab[3].state, model.lab[3].note = "quarantined", "fails everything quickly"
    played = PlayedDashboard(model)
    played.play(60)
    played.live()
    async with shown(played) as pilot:
        agents = text_of(played).split("1 Queue")[1].split("3 Groups")[0]
        assert sum(line.count("■") for line in agents.splitlines()) > 2 * 15, "a cell each, and what it does"
        await pilot.press("6")
        await wait_for(lambda: "fails everything quickly" in text_of(played))
        await pilot.resize_terminal(200, 40)
        await wait_for(lambda: "NOTE" in text_of(played))


@pytest.mark.parametrize("theme", ROUND)
async def test_what_passed_failed_and_errored_are_told_apart_by_their_colours(theme: str) -> None:
    async with shown(stage(), theme=theme) as pilot:
        inks = inks_of(pilot.app)
        looks = [str(inks[ink]) for ink in ("good", "bad", "lab", "busy", "prep", "next", "wait")]
        assert len(set(looks)) == len(looks), looks
        builds = [str(style_of(inks, names)) for names in BUILD_INKS]
        assert len(set(builds)) == len(builds), builds
