"""Every action of the table is done by its key; help, footer and palette tell of the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from textual.binding import Binding, BindingsMap

from tests.support.dashboard import keys_shown, shown, text_of
from tests.support.wait import wait_for
from tests.unit.tui.scenes import SCENES
from tests.unit.tui.scenes.replay import a_replay
from tests.unit.tui.scenes.stage import Stage, stage
from tui.actions.bindings import ACTIONS, Action, Scope, actions_of, bindings, key_text, mutating
from tui.actions.palette import ActionProvider
from tui.screens.alerts import AlertsScreen
from tui.screens.confirm import Confirm
from tui.screens.help import HelpScreen
from tui.screens.job import JobScreen
from tui.screens.logs import LogsScreen
from tui.screens.overview import OverviewScreen
from tui.screens.runs import RunScreen, RunsScreen
from tui.screens.slots import SlotsScreen
from tui.widgets.agent_table import AgentTable
from tui.widgets.job_table import JobTable
from tui.widgets.line_bar import CommandBar
from tui.widgets.log_view import LogView
from tui.widgets.run_table import RunTable
from tui.widgets.slot_table import SlotTable


def test_every_action_has_a_scene() -> None:
    assert set(SCENES) == {action.id for action in ACTIONS}


@pytest.mark.parametrize("scope", get_args(Scope))
async def test_the_keys_do_it(scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one dashboard, that looks the same before each scene: to make one takes longer than most scenes."""
    monkeypatch.chdir(tmp_path)
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        for action in sorted(actions_of(scope), key=lambda action: action.id == "app.leave"):
            first, now = text_of(played), played.clock.now()
            try:
                await SCENES[action.id](s, action.keys.split(",")[0])
                if s.app.is_running:
                    await s.begin_again()
                    if played.clock.now() == now:
                        await wait_for(lambda first=first: text_of(played) == first, what="all as it was")
            except BaseException as error:  # pytest's own failures are no `Exception`
                error.add_note(f"in the scene of {action.id}")
                raise


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_its_other_keys_do_the_same(action: Action) -> None:
    bound = BindingsMap(bindings(action.scope))
    for key in action.keys.split(","):
        assert [binding.action for binding in bound.get_bindings_for_key(key)] == [action.name]


def test_ids_and_keys_are_unique_within_a_place() -> None:
    ids = [action.id for action in ACTIONS]
    assert len(ids) == len(set(ids))
    places: tuple[tuple[Scope, ...], ...] = (
        ("app", "overview", "table", "marks"),
        ("app", "job", "log"),
        ("app", "logs", "log"),
        ("app", "list", "slots", "table"),
        ("app", "run", "table", "marks"),
        ("app", "alerts", "table"),
    )
    for scopes in places:
        keys = [key for action in actions_of(*scopes) for key in action.keys.split(",")]
        assert len(keys) == len(set(keys)), sorted(k for k in keys if keys.count(k) > 1)


def test_all_keys_of_our_widgets_come_from_the_table() -> None:
    from tui.app import DashboardApp

    ours = {action.id for action in ACTIONS}
    kinds = (
        DashboardApp,
        OverviewScreen,
        JobScreen,
        RunsScreen,
        RunScreen,
        SlotsScreen,
        AlertsScreen,
        LogsScreen,
        RunTable,
        SlotTable,
        Confirm,
        HelpScreen,
        JobTable,
        AgentTable,
        LogView,
    )
    for kind in kinds:
        for binding in kind.__dict__.get("BINDINGS", []):
            assert isinstance(binding, Binding)
            assert binding.id in ours
    assert [b.id for b in bindings("job") if isinstance(b, Binding)] == [a.id for a in actions_of("job")]


async def test_the_footer_shows_what_the_table_says() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        here = [
            a for a in actions_of("overview", "table", "marks", "app") if not a.name.startswith("replay_")
        ]

        def told(shown: bool) -> set[tuple[str, str]]:
            return {(a.display or a.keys, a.label) for a in here if (a.shown if shown else a.spare)}

        footer = {(key.display, key.label) for key in keys_shown(s.app)}
        assert told(shown=True) <= footer <= told(shown=True) | told(shown=False)
        assert {("5", "Runs"), ("6", "Slots"), ("!", "Alerts"), (":", "Command")} <= footer
        await pilot.resize_terminal(200, 40)
        await wait_for(lambda: len(keys_shown(s.app)) == len(told(shown=True) | told(shown=False)))
        await pilot.resize_terminal(80, 24)
        await wait_for(lambda: {(k.display, k.label) for k in keys_shown(s.app)} == told(shown=True))


async def test_the_footer_of_a_replay_has_its_keys_and_none_that_changes_anything() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        s.app.show_replay(a_replay())
        await pilot.pause()
        footer = {key.label for key in keys_shown(s.app)}
        assert {"Play", "Back", "Step", "Live"} < footer
        assert not footer & {action.label for action in ACTIONS if action.mutates}


async def test_the_help_tells_of_every_action() -> None:
    played = stage()
    async with shown(played, (120, 140)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        text = text_of(played)
        for action in ACTIONS:
            if action.scope != "help":
                assert key_text(action) in text
                assert action.help.split()[0] in text


async def test_the_palette_offers_every_action_of_the_place() -> None:
    played = stage()
    async with shown(played):
        provider = ActionProvider(played.app.screen)
        offered = {action.id for action in provider.offered()}
        here = actions_of("overview", "table", "marks", "app")
        assert {a.id for a in here if a.palette and not a.name.startswith("replay")} == offered | {
            "overview.cancel",  # the first job has ended
            "overview.reprioritise",
        }
        assert {"overview.filter", "app.leave", "marks.mark"} <= offered
        played.app.open_runs()
        wanted = {"runs.cancel", "list.filter"}
        await wait_for(lambda: wanted <= {a.id for a in ActionProvider(played.app.screen).offered()})
        hits = [hit async for hit in provider.search("theme")]
        assert next(hit.text for hit in hits) == "Theme  (T)"


async def test_the_palette_does_what_it_offers() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        for action in actions_of("marks"):
            played.app.perform(action)
            await pilot.pause()
        assert not s.jobs.marks
        played.app.perform(next(a for a in ACTIONS if a.id == "marks.mark"))
        await wait_for(lambda: len(s.jobs.marks) == 1)
        played.app.perform(next(a for a in ACTIONS if a.id == "app.panel('agents')"))
        await wait_for(lambda: isinstance(s.overview.focused, AgentTable))


async def test_the_palette_begins_a_command() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("ctrl+p", *"paus")
        await wait_for(lambda: ":pause [ORG]" in text_of(played))
        await s.press("enter")
        await wait_for(lambda: bool(s.app.screen.query(CommandBar)))
        await s.press(*"acme", "enter")
        await wait_for(lambda: "qgjob queue pause --org-id acme" in text_of(played))
        await s.press("escape")
        played.app.read_only = True
        provider = ActionProvider(played.app.screen)
        assert not [hit async for hit in provider.search("paus")], "nothing that would be refused"


async def test_the_palette_finds_jobs_whatever_they_are_called() -> None:
    played = stage()
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        job_id = s.app.index[3]
        provider = ActionProvider(played.app.screen)
        hits = [hit async for hit in provider.search(job_id)]
        assert len(hits) == 1
        hits[0].command()
        await wait_for(lambda: isinstance(s.app.screen, JobScreen))
        assert not [hit async for hit in provider.search('"[bold]:nothing')]


def test_what_changes_something_is_known_by_name() -> None:
    assert mutating("cancel")
    assert not mutating("panel")
