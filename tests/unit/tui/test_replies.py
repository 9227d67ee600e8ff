"""A key that does nothing now says why; what is said does not pile up."""

from __future__ import annotations

import pytest
from textual.notifications import Notification

from tests.support.dashboard import PlayedDashboard, keys_shown, shown, text_of
from tests.support.lab.model import LabModel
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage, stage
from tui.actions.command_line import CommandError
from tui.actions.commander import Commander
from tui.toasts import MAX_TOASTS, Reply, superseded
from tui.widgets.key_bar import KeyBar
from tui.widgets.line_bar import FindBar


def said(s: Stage) -> list[str]:
    return [notification.message for notification in s.app._notifications]  # pyright: ignore[reportPrivateUsage]


async def says(s: Stage, sentence: str) -> None:
    await wait_for(lambda: said(s)[-1:] == [sentence], what=sentence)


async def to_job(s: Stage, *, ended: bool) -> None:
    wanted = next(i for i in s.app.index if (j := s.app.store.jobs.get(i)) and j.ended == ended)
    s.jobs.move_to_id(wanted)
    await s.pilot.pause()


async def test_a_key_that_is_greyed_out_says_why() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await to_job(s, ended=True)
        await s.press("c")
        await says(s, "This job has ended.")
        await to_job(s, ended=False)
        await s.press("r")
        await says(s, "This job has not ended yet.")
        assert len(said(s)) == 1, "the next key's reply takes the place of the one before"
        await s.press("1", "p")
        await says(s, "There is no job under the cursor.")
        await s.press("ctrl+c")
        await says(s, "q leaves the dashboard; jobs go on.")


async def test_a_click_on_a_greyed_key_says_why() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await to_job(s, ended=True)
        at = text_of(played).splitlines()[39].index("Cancel") - 1
        await pilot.click(KeyBar, offset=(at, 0))
        await says(s, "This job has ended.")


async def test_a_job_of_its_own_screen_and_a_run_say_why_as_well() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await to_job(s, ended=True)
        await s.press("enter")
        await wait_for(lambda: s.app.screen.name == "job")
        assert "Cancel" not in {key.label for key in keys_shown(s.app)}
        await s.press("c")
        await says(s, "This job has ended.")
        await s.press("n")
        await says(s, "Nothing is looked for yet: / begins.")
        s.app.open_runs("no such run")
        await wait_for(lambda: s.app.screen.name == "runs")
        await s.press("c")
        await says(s, "There is no run under the cursor.")


async def test_a_dashboard_that_changes_nothing_says_so() -> None:
    played = PlayedDashboard(LabModel(seed=4), read_only=True)
    played.play(60)
    played.live()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("c")
        await says(s, "This dashboard is read-only.")


async def test_a_keymap_moves_the_reason_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        monkeypatch.setitem(s.app.settings.keymap, "overview.cancel", "ctrl+d")  # type: ignore[arg-type]
        assert s.overview.refusal_for_key("ctrl+d")
        assert not s.overview.refusal_for_key("c")
        assert not s.overview.refusal_for_key("f12")


async def test_the_same_key_again_is_answered_once() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("y", "y", "y", "T", "T")
        await says(s, "ansi-dark")
        assert len(said(s)) == 1


def test_what_is_said_makes_room() -> None:
    alerts = [Notification(f"alert {n}", severity="warning") for n in range(MAX_TOASTS)]
    assert superseded(alerts, Notification("alert 9")) == alerts[:1]
    assert superseded(alerts, Notification("alert 2")) == alerts[2:3]
    assert superseded(alerts[:2], Reply("Copied")) == []
    copied = Reply("Copied j_1")
    assert superseded([alerts[0], copied], Reply("Copied j_2")) == [copied]


async def test_a_wrong_expression_is_said_beside_it() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.open()
        await s.press("slash", *"/(x/")
        await wait_for(lambda: "no regular expression" in text_of(played))
        assert not said(s)
        await s.press("enter")
        assert s.app.screen.query(FindBar)


async def test_a_job_that_is_not_found_says_whether_all_were_looked_at() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)

        def refused(line: str, sentence: str) -> None:
            with pytest.raises(CommandError) as caught:
                Commander(s.app).run(line)
            assert str(caught.value) == sentence

        one = next(iter(s.app.store.jobs))
        begin = one[:-2]
        jobs = sum(job_id.startswith(begin) for job_id in s.app.store.jobs)
        assert jobs > 1
        refused("job j_nobody", "No job 'j_nobody' is known.")
        refused(f"job {begin}", f"{jobs} jobs begin with '{begin}': more of the id is needed.")
        link = s.app.store.link
        link.snapshot_loading = True
        refused("job j_nobody", "No job 'j_nobody' is known so far: older ones are still read.")
        refused("run r_nobody", "No run 'r_nobody' is known so far: older ones are still read.")
        link.set_phase("connecting", 0.0)
        refused("job j_nobody", "No job 'j_nobody' is known so far: jobs are not read yet.")
