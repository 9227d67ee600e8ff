"""Alerts: all are counted, each says what to do, and what is held can be let go of."""

from __future__ import annotations

import pytest

from bus_schemas.agents import GroupRef, Heartbeat, SlotStatus
from bus_schemas.holds import BuildHold, SlotHold
from bus_schemas.queries import GroupView, JobView, Overview, PauseView
from tests.support.clock import ManualClock
from tests.support.dashboard import PlayedDashboard, shown, text_of
from tests.support.lab.model import START, LabModel
from tests.support.wait import wait_for
from tests.unit.tui.scenes.stage import Stage, stage
from tui.draw.times import moment
from tui.operations.catalog import build
from tui.screens.alerts import AlertsScreen
from tui.screens.job import JobScreen
from tui.screens.slots import SlotsScreen
from tui.store.alerts import alerts_of
from tui.store.store import Store
from tui.store.troubles import troubles_of
from tui.widgets.alert_bar import MOST, MOST_IF_SHORT
from tui.widgets.group_table import GroupTable

PAUSES = tuple(
    PauseView(org_id=f"org-{n}", by="ann@desk", at=START, note="backend is down") for n in range(7)
)
HELD = BuildHold(org_id="acme", app_version_id="v 2", why="it does not start", since=START, until=START + 60)


def overview(**told: object) -> Overview:
    return Overview.model_validate({"at": START, "waiting": 1, "slots_busy": 1, **told})


def errored(number: int, *, at: float = START - 30, build: str = "v1", why: str = "no such file") -> JobView:
    return JobView.model_validate(
        {
            "job_id": f"j_{build}_{number}",
            "run_id": "r_1",
            "org_id": "acme",
            "app_version_id": build,
            "test": "a.py",
            "runner": "command",
            "priority": 5,
            "state": "errored",
            "message": why,
            "created_at": at - 60,
            "ended_at": at,
        }
    )


def test_many_jobs_of_a_build_that_the_lab_failed_are_an_alert_while_they_are_new() -> None:
    clock = ManualClock(START)
    store = Store(clock)
    for number in range(2):
        store.apply_view(errored(number))
        store.apply_view(errored(number, build="v2"))
    store.apply_view(errored(9, build="v2", at=START - 700))
    assert alerts_of(store) == [], "two may be an accident"
    for number in range(5):
        store.apply_view(errored(number))
        store.apply_view(errored(number))
    (trouble,) = troubles_of(store)
    assert trouble.text == "5 jobs of v1 (acme) errored in the last 10 min: no such file"
    assert trouble.filter == "state:errored build:v1 org:acme"
    long = "2.4.1-rc1-of-the-twenty-first-of-november-abcdef"
    for number in range(3):
        store.apply_view(errored(number, build=long))
    told = troubles_of(store)[1]
    assert told.text == "3 jobs of 2.4.1-rc1-o…ember-abcdef (acme) errored in the last 10 min: no such file"
    assert f"build:{long} " in told.filter
    assert long in told.advice
    clock.advance(600)
    assert alerts_of(store) == []


def test_a_job_that_took_slot_after_slot_down_is_an_alert_by_itself() -> None:
    store = Store(ManualClock(START))
    why = "3 slots went down under it (a/s0, b/s0, c/s0): it is not tried again"
    poison = errored(1, why=why).model_copy(update={"reason": "poisonous"})
    store.apply_view(poison)
    (trouble,) = troubles_of(store)
    assert (trouble.level, trouble.text) == ("bad", f"a.py (acme): {why}")
    assert trouble.filter == f"job:{poison.job_id}"
    store.apply_view(errored(2, why=why).model_copy(update={"reason": "poisonous"}))
    assert [alert.text for alert in alerts_of(store)] == [
        "slot after slot went down under a.py (acme), a.py (acme)"
    ]


def test_what_is_held_or_paused_says_the_command_that_lets_it_go() -> None:
    store = Store(ManualClock(START))
    store.apply_overview(overview(pauses=PAUSES[:1], builds_held=(HELD,)))
    held, paused = troubles_of(store)
    assert "qgjob app resume 'v 2' --org-id acme" in held.advice
    assert "qgjob queue resume --org-id org-0" in paused.advice
    assert held.names == ("v 2", "acme")
    assert build(*held.names).command(build(*held.names).targets[0]) == (
        "qgjob app resume 'v 2' --org-id acme"
    )


def test_that_nothing_is_scheduled_is_the_first_alert() -> None:
    clock = ManualClock(START)
    store = Store(clock)
    store.link.set_phase("live", clock.monotonic())
    store.link.record_leader(clock.monotonic())
    store.apply_overview(overview(pauses=PAUSES[:1]))
    for _ in range(8):
        clock.advance(1)
        store.link.record_activity(clock.monotonic())
    first = alerts_of(store)[0]
    assert (first.kind, first.level) == ("leader", "bad")
    assert first.text.startswith("No leading scheduler was heard for 8 s")


def test_a_group_that_may_not_start_says_so_instead_of_an_end() -> None:
    store = Store(ManualClock(START))
    table = GroupTable(store, "groups")
    column = next((c, c.width) for c in GroupTable.columns if c.key == "end")

    def said(org: str, needs: str, build: str = "v1", waiting: int = 3) -> str:
        group = GroupRef(capability=needs, org_id=org, app_version_id=build)
        view = GroupView(group=group, waiting=waiting, running=1, expected_end=START + 5)
        vars(table)["_groups"] = {"g": view}
        return table.cells("g", [column])[0][0][0].strip()

    pauses = (
        PauseView(org_id="acme", by="ann", at=START),
        PauseView(capability="pixel", by="ann", at=START),
        PauseView(org_id="hooli", capability="any", by="ann", at=START),
    )
    store.apply_overview(overview(pauses=pauses, builds_held=(HELD.model_copy(update={"org_id": "globex"}),)))
    assert said("acme", "any") == "paused"
    assert said("acme", "any", waiting=0) == "~5s", "what runs goes on to its end"
    assert said("globex", "android+pixel") == "paused"
    assert said("globex", "android") == "~5s"
    assert said("globex", "android", "v 2") == "held"
    assert said("hooli", "any") == "paused"
    assert said("hooli", "android") == "~5s"

    foldable = GroupView(
        group=GroupRef(capability="foldable", org_id="hooli", app_version_id="v1"), waiting=3
    )
    store.apply_heartbeat(
        Heartbeat(
            agent="lab-1",
            host="h",
            pid=1,
            version="1",
            started_at=1.0,
            at=START,
            slots=(SlotStatus(name="s0", driver="none", state="busy", labels=("android",)),),
        )
    )
    store.apply_overview(overview(at=START + 1, groups=(foldable,)))
    table.sync()
    assert said("hooli", "foldable") == "no slot"
    assert said("hooli", "android") == "~5s"


def test_figures_of_a_leader_that_is_not_heard_any_more_say_how_old_they_are() -> None:
    clock = ManualClock(START)
    store = Store(clock)
    assert store.link.age_suffix(clock.monotonic()) == ""
    store.link.record_leader(clock.monotonic())
    clock.advance(5)
    assert store.link.age_suffix(clock.monotonic()) == ""
    clock.advance(70)
    assert store.link.age_suffix(clock.monotonic()) == " · 1m15 ago"


@pytest.mark.parametrize(("height", "most"), [(24, MOST_IF_SHORT), (40, MOST)])
async def test_alerts_for_which_there_is_no_room_are_counted(height: int, most: int) -> None:
    played = PlayedDashboard(LabModel(seed=4))
    played.play(3)
    played.live()
    last = played.store.overview
    assert last is not None
    played.store.overview = last.model_copy(update={"pauses": PAUSES})
    async with shown(played, (100, height)) as pilot:
        played.draw()
        await pilot.pause()
        text = text_of(played)
        assert text.count("is paused by ann@desk") == most
        assert f"and {7 - most} more: !" in text
        assert "! what to do" in text
        await pilot.click("AlertBar")
        await wait_for(lambda: isinstance(played.app.screen, AlertsScreen))
        await pilot.pause()
        assert text_of(played).count("is paused by ann@desk") == 7 + 1, "each, and the one under the cursor"
        await pilot.press("escape", "6")
        await wait_for(lambda: isinstance(played.app.screen, SlotsScreen))
        await pilot.click("StatusBar")
        await wait_for(lambda: isinstance(played.app.screen, AlertsScreen))


async def test_an_alert_leads_to_the_slots_or_jobs_that_it_is_about() -> None:
    played = stage()
    played.model.lab[5].state = "quarantined"
    played.play(1)
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        await s.press("exclamation_mark", "enter")
        await wait_for(lambda: isinstance(s.app.screen, SlotsScreen))
        await pilot.pause()
        assert "Slots  /lab-2/s1" in text_of(played)
        last = played.store.overview
        assert last is not None
        group = GroupRef(capability="foldable", org_id="acme", app_version_id="v1")
        played.store.overview = last.model_copy(update={"groups": (GroupView(group=group, waiting=3),)})
        await s.press("exclamation_mark", "down", "enter")
        await wait_for(lambda: s.app.index.filter.text == "needs:foldable state:waiting")
        assert s.app.screen is s.overview


async def test_other_screens_say_that_there_are_alerts() -> None:
    played = stage()
    played.model.lab[5].state = "quarantined"
    played.play(1)
    async with shown(played) as pilot:
        s = Stage(played, pilot)
        assert "1 alert" not in text_of(played)
        await s.open()
        played.draw()
        await pilot.pause()
        assert isinstance(s.app.screen, JobScreen)
        assert "▲ 1 alert: !" in text_of(played)


async def test_nothing_wrong_says_so() -> None:
    played = stage()
    async with shown(played) as pilot:
        await pilot.press("exclamation_mark")
        await wait_for(lambda: "Nothing is wrong." in text_of(played))


def test_a_silent_agent_says_where_to_look() -> None:
    clock = ManualClock(START)
    store = Store(clock)
    store.link.set_phase("live", clock.monotonic())
    slots = (SlotStatus(name="s0", driver="none", state="idle"),)
    store.apply_heartbeat(
        Heartbeat(agent="lab-1", host="mac-3", pid=1, version="1", started_at=1.0, at=START, slots=slots)
    )
    for _ in range(75):
        clock.advance(1)
        store.link.record_activity(clock.monotonic())
    (trouble,) = troubles_of(store)
    assert trouble.text == "lab-1 silent for 1m15: it has 1 slot"
    assert "mac-3" in trouble.advice
    clock.advance(3 * 3600)
    store.link.record_activity(clock.monotonic())
    clock.advance(1)
    store.take_changes()
    for _ in range(20):
        clock.advance(1)
        store.link.record_activity(clock.monotonic())
    assert [alert.text for alert in alerts_of(store)] == ["lab-1 silent for 3h01: it has 1 slot"], (
        "it is told of the whole night"
    )


def test_a_quarantine_that_ends_by_itself_says_when() -> None:
    store = Store(ManualClock(START))
    hold = SlotHold(
        name="lab-1/s0", kind="quarantined", by="scheduler", since=START, note="bad", until=START + 60
    )
    slots = (SlotStatus(name="s0", driver="none", state="quarantined", hold=hold),)
    store.apply_heartbeat(
        Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=START, slots=slots)
    )
    (trouble,) = troubles_of(store)
    assert f"qgjob agents resume lab-1/s0 (at {moment(START + 60)} one job is tried there" in trouble.advice


def test_one_alert_of_a_kind_says_why_and_several_are_named() -> None:
    clock = ManualClock(START)
    store = Store(clock)

    def hold(*names: str) -> None:
        slots = tuple(
            SlotStatus(name=name, driver="none", state="quarantined", note="screen broken") for name in names
        )
        clock.advance(1)
        store.apply_heartbeat(
            Heartbeat(
                agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=clock.now(), slots=slots
            )
        )

    hold("s0")
    assert [alert.text for alert in alerts_of(store)] == ["lab-1/s0 in quarantine: screen broken"]
    hold("s0", "s1")
    assert [alert.text for alert in alerts_of(store)] == ["lab-1/s0, lab-1/s1 in quarantine"]


def test_jobs_that_wait_where_no_agent_is_alive_are_an_alert_once_that_is_known() -> None:
    store = Store(ManualClock(START))
    store.apply_overview(overview(slots_busy=0, waiting=3, delayed=1))
    assert alerts_of(store) == [], "the agents may not be read yet"
    store.link.ever_answered = True
    (alert,) = alerts_of(store)
    assert (alert.level, alert.text) == ("bad", "2 jobs wait, and no agent is alive"), (
        "one's time has not come"
    )
    assert troubles_of(store)[0].jobs == 2
    store.link.replay = "12:00"
    assert alerts_of(store) == [], "a tape does not tell of agents"
    store.link.replay = ""
    store.apply_overview(overview(at=START + 1, slots_busy=0, waiting=3, delayed=3))
    assert alerts_of(store) == [], "their time has not come"


async def test_jobs_that_cannot_be_read_are_not_taken_for_none_nor_for_a_lab_that_stands_still() -> None:
    played = PlayedDashboard(LabModel(agents=0))
    played.live()
    link = played.store.link
    link.query_error = "The store is away."
    link.record_leader(played.clock.monotonic())
    (trouble,) = troubles_of(played.store)
    assert trouble.text == "the jobs cannot be read: The store is away."
    assert "nothing starts" not in trouble.advice
    async with shown(played) as pilot:
        await pilot.pause()
        assert "The jobs could not be read." in text_of(played)
        await pilot.press("5")
        await wait_for(lambda: "The runs could not be read." in text_of(played))
