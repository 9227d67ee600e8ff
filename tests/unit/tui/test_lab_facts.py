"""What the lab's devices and installs come to: health and its alerts, installs of today, depths by need."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from bus_schemas.agents import DeviceHealth, GroupRef, Heartbeat, SlotStatus
from bus_schemas.events import Ended, Retrying, Running
from bus_schemas.holds import SlotHold
from bus_schemas.queries import GroupView, Overview
from tests.support.clock import ManualClock
from tests.support.lab.model import START, LabModel
from tui.draw.times import moment
from tui.store.alerts import alerts_of
from tui.store.health import lows, vitals
from tui.store.history import History
from tui.store.lab import LOST_AFTER_S, PRESENT_S
from tui.store.store import Store
from tui.widgets.group_table import GroupTable
from tui.widgets.lab_map import LabMap
from tui.widgets.queue_panel import QueuePanel
from tui.widgets.run_card import RunCard
from tui.widgets.slot_table import SlotTable

NOTE = next((column, 20) for column in SlotTable.columns if column.key == "note")


def health(**told: float) -> DeviceHealth:
    return DeviceHealth.model_validate({"at": START, "ok": True, **told})


def test_a_device_tells_what_it_knows() -> None:
    assert vitals(None) == []
    assert vitals(health()) == []
    told = vitals(health(battery_percent=88, temperature_c=27.4, free_mib=5200))
    assert [vital.text for vital in told] == ["88%", "27°", "5.1G"]
    assert not lows(health(battery_percent=20, free_mib=500))
    assert [vital.kind for vital in lows(health(battery_percent=19, free_mib=499))] == ["battery", "storage"]


@pytest.mark.parametrize(
    ("mib", "text"),
    [(0, "0M"), (999, "999M"), (1000, "1.0G"), (65_536, "64G"), (2_000_000, "1.9T"), (10**12, "lots")],
)
def test_storage_takes_four_characters(mib: int, text: str) -> None:
    (vital,) = vitals(health(free_mib=mib))
    assert vital.text == text


def test_what_is_low_is_an_alert_that_names_the_devices() -> None:
    store = Store(ManualClock(START))
    slots = tuple(
        SlotStatus(name=f"s{n}", driver="adb", state="idle", health=health(battery_percent=percent))
        for n, percent in enumerate((90, 12, 5))
    )
    store.apply_heartbeat(
        Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=START, slots=slots)
    )
    assert [alert.text for alert in alerts_of(store)] == ["low battery: lab-1/s1 12%, lab-1/s2 5%"]


def test_agents_are_silent_only_while_the_server_can_be_heard() -> None:
    clock = ManualClock(START)
    store = Store(clock)

    def beat() -> None:
        store.apply_heartbeat(
            Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=clock.now())
        )

    def said(seconds: float, *, hears: bool = True) -> list[str]:
        for _ in range(int(seconds)):
            clock.advance(1)
            if hears:
                store.link.record_activity(clock.monotonic())
        return [alert.text for alert in alerts_of(store)]

    store.link.set_phase("live", clock.monotonic())
    beat()
    assert said(16) == ["lab-1 silent for 16s: it has 0 slots"]
    beat()
    assert said(40, hears=False) == [], "nobody is heard: not even one who speaks"
    store.link.set_phase("reconnecting", clock.monotonic(), "The connection was lost.")
    assert said(3) == []
    store.link.set_phase("live", clock.monotonic())
    assert said(10) == [], "it may have spoken just before, and will soon again"
    assert said(6) == ["lab-1 silent for 59s: it has 0 slots"]


def test_jobs_that_need_what_no_slot_has_are_an_alert() -> None:
    store = Store(ManualClock(START))
    slots = (
        SlotStatus(name="s0", driver="none", state="busy", labels=("android-14", "emulator")),
        SlotStatus(name="s1", driver="none", state="draining", labels=("ios-18",)),
    )
    groups = tuple(
        GroupView(group=GroupRef(capability=needs, org_id="acme", app_version_id="v1"), waiting=waiting)
        for needs, waiting in (
            ("any", 5),
            ("android-14", 3),
            ("ios-18", 1),
            ("android-14+ios-18", 2),
            ("android-15", 9),
            ("rack-7", 0),
        )
    )
    store.apply_overview(Overview(at=START, waiting=20, slots_busy=1, groups=groups))
    assert alerts_of(store) == [], "before any agent is heard nobody knows"
    store.apply_heartbeat(
        Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=START, slots=slots)
    )
    (alert,) = alerts_of(store)
    assert (alert.level, alert.text) == (
        "bad",
        "11 jobs need what no slot has: android-14+ios-18, android-15",
    )
    store.link.replay = "replay"
    assert alerts_of(store) == [], "in a replay labels are not known"


def test_slots_of_an_agent_that_is_only_remembered_do_not_count() -> None:
    clock = ManualClock(START)
    store = Store(clock)
    store.link.set_phase("live", clock.monotonic())
    store.link.ever_answered = True
    low = DeviceHealth(at=START, ok=True, battery_percent=5)

    def beat(name: str, *labels: str, health: DeviceHealth | None = None) -> None:
        slot = SlotStatus(name="s0", driver="none", state="busy", labels=labels, health=health)
        store.apply_heartbeat(
            Heartbeat(agent=name, host="h", pid=1, version="1", started_at=1.0, at=clock.now(), slots=(slot,))
        )

    def said() -> list[str]:
        for _ in range(20):
            clock.advance(1)
            store.link.record_activity(clock.monotonic())
        beat("lab-2", "ios-18")
        return [alert.text for alert in alerts_of(store)]

    group = GroupView(group=GroupRef(capability="nfc", org_id="acme", app_version_id="v1"), waiting=3)
    store.apply_overview(Overview(at=START, waiting=3, slots_busy=1, groups=(group,)))
    table = GroupTable(store, "groups")
    end = [next((c, c.width) for c in GroupTable.columns if c.key == "end")]

    def kept() -> str:
        table.sync()
        return table.cells(table.rows[0], end)[0][0][0].strip()

    beat("lab-1", "nfc", health=low)
    assert said() == ["lab-1 silent for 20s: it has 1 slot", "low battery: lab-1/s0 5%"]
    assert (store.lab.busy_slots(clock.monotonic()), kept()) == ((1, 2), "")
    clock.advance(PRESENT_S)
    store.take_changes()
    assert said() == [
        "lab-1 silent for 10m40: it has 1 slot",
        "3 jobs need what no slot has: nfc",
    ]
    assert (store.lab.busy_slots(clock.monotonic()), kept()) == ((1, 1), "no slot")


@pytest.mark.parametrize(
    ("waiting", "dead", "said"),
    [
        (1, 1, ["1 message could not be read", "1 job waits, and no slot takes any"]),
        (1200, 2, ["2 messages could not be read", "1,200 jobs wait, and no slot takes any"]),
    ],
)
def test_one_is_told_as_one(waiting: int, dead: int, said: list[str]) -> None:
    store = Store(ManualClock(START))
    slots = (SlotStatus(name="s0", driver="none", state="draining"),)
    store.apply_heartbeat(
        Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=START, slots=slots)
    )
    store.apply_overview(Overview(at=START, waiting=waiting, dead_letters=dead))
    assert [alert.text for alert in alerts_of(store)] == said


def test_a_group_that_is_through_has_no_end_ahead() -> None:
    store = Store(ManualClock(START))
    group = GroupRef(capability="any", org_id="acme", app_version_id="v1")
    table = GroupTable(store, "groups")
    column = next((c, c.width) for c in GroupTable.columns if c.key == "end")
    for running, text in ((1, "    ~5s"), (0, "       ")):
        view = GroupView(group=group, waiting=0, running=running, expected_end=START + 5)
        vars(table)["_groups"] = {"g": view}
        assert table.cells("g", [column]) == [((text, ""),)]


def test_what_came_of_today_is_counted_once_and_begins_anew_at_midnight() -> None:
    model = LabModel(seed=3, mean_test_s=5)
    clock = ManualClock(START)
    store = Store(clock)
    store.take_changes()
    events = model.play(120, keep_waiting=20)
    for _ in range(2):  # heard again, they change nothing
        for seq, event in enumerate(events, start=1):
            store.apply_event(event, seq)
    ran = [event for event in events if isinstance(event, Running)]
    today = store.jobs.today
    assert (today.made, today.avoided) == (
        sum(event.installed for event in ran),
        sum(not event.installed for event in ran),
    )
    assert today.made > 0
    assert today.avoided > 0
    states = Counter(job.state for job_id in store.jobs if (job := store.jobs.get(job_id)) and job.ended)
    assert today.ended["passed"] == states["passed"] > 0
    assert today.ended["failed"] == states["failed"] + states["timed_out"] > 0
    assert today.ended["errored"] == states["errored"]

    again = next(event for event in events if isinstance(event, Ended) and event.final)
    lives = Retrying.model_validate(
        {
            **again.model_dump(include={"org_id", "run_id", "job_id", "attempt"}),
            "at": model.now,
            "next_attempt": again.attempt + 1,
            "charged": False,
        }
    )
    store.apply_event(lives, len(events) + 1)
    assert sum(today.ended.values()) == sum(states[state] for state in states if state != "cancelled") - 1

    day = time.localtime(START)
    clock.set_now(time.mktime((day.tm_year, day.tm_mon, day.tm_mday + 1, 0, 0, 1, 0, 0, -1)))
    store.take_changes()
    assert (today.made, today.avoided, today.ended.total()) == (0, 0, 0)


def test_a_slot_that_is_held_says_so_while_it_still_works() -> None:
    store = Store(ManualClock(START))

    def seen(state: str, *, note: str | None) -> tuple[str, str]:
        hold = SlotHold(name="lab-1/s0", kind="draining", by="ann", since=START, note=note)
        told = f"draining by ann{f': {note}' if note else ''}"
        slot = SlotStatus.model_validate(
            {"name": "s0", "driver": "none", "state": state, "job_id": "j_1", "hold": hold, "note": told}
        )
        beat = Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=START, slots=(slot,))
        store.lab.clear()
        store.apply_heartbeat(beat)
        table = SlotTable(store, "slots")
        vars(table)["_slots"] = {"lab-1/s0": (store.lab.agents()[0], slot)}
        widths = [(column, 40) for column in SlotTable.columns if column.key in {"state", "note"}]
        said, why = ("".join(text for text, _ in cell).strip() for cell in table.cells("lab-1/s0", widths))
        return said, why

    assert seen("busy", note="new cable") == ("■ draining", "new cable (ann)")
    assert seen("draining", note=None) == ("◪ draining", "draining by ann")


def test_slots_of_an_agent_that_fell_silent_are_lost_wherever_they_are_told_of() -> None:
    clock = ManualClock(START)
    store = Store(clock)
    for name, state in (("lab-1", "busy"), ("lab-2", "idle")):
        slot = SlotStatus.model_validate({"name": "s0", "driver": "none", "state": state, "job_id": "j_1"})
        store.apply_heartbeat(
            Heartbeat(agent=name, host="h", pid=1, version="1", started_at=1.0, at=START, slots=(slot,))
        )
    table = SlotTable(store, "slots")
    table.sync()
    assert store.lab.busy_slots(clock.monotonic()) == (1, 2)
    table.want("lost")
    assert len(table.rows) == 0
    clock.advance(LOST_AFTER_S + 1)
    table.sync()
    assert [table.rows[row] for row in range(len(table.rows))] == ["lab-1/s0", "lab-2/s0"]
    table.want("busy")
    assert len(table.rows) == 0
    assert store.lab.busy_slots(clock.monotonic()) == (0, 2)


def test_the_card_of_a_run_cuts_neither_a_time_nor_a_wide_name() -> None:
    store = Store(ManualClock(START + 75))
    store.jobs.runs.update("r_1", "acme", size=1)
    run = store.jobs.runs.get("r_1")
    assert run is not None
    run.build, run.created_at = "版本一", START
    card = RunCard(store, "r_1", "card")

    def first(width: int) -> str:
        return "".join(text for text, _ in card.draw(width, 4)[0]).rstrip()

    assert first(80) == f"r_1   build 版本一   org acme   submitted {moment(START)}, 1m15 ago"
    assert first(50) == "r_1   build 版本一   org acme   1m15 ago"
    assert first(38) == "r_1   build 版本一   org acme"


def test_what_a_pause_or_a_limit_holds_is_told_beside_the_slots_that_are_idle() -> None:
    store = Store(ManualClock(START))
    store.apply_overview(Overview(at=START, waiting=5, held=3, slots_idle=2))
    lines = QueuePanel(store, "queue").draw(60, 12)
    assert any("2 idle  3 held" in "".join(text for text, _ in line) for line in lines)


def test_while_older_jobs_are_read_there_may_be_more_of_each() -> None:
    store = Store(ManualClock(START))
    store.apply_overview(Overview(at=START))
    store.jobs.today.ended.update(passed=806)

    def ends() -> str:
        return "".join(text for text, _ in QueuePanel(store, "queue").draw(60, 12)[-3]).split("  0/min")[0]

    store.link.snapshot_loading = True
    assert ends() == "806+ passed  0+ failed  today"
    store.link.snapshot_loading = False
    assert ends() == "806 passed  0 failed  today"


def test_a_tape_says_nothing_of_what_agents_count() -> None:
    store = Store(ManualClock(START))
    slot = SlotStatus(name="s0", driver="none", state="idle", jobs_done=7, installs=2)
    store.apply_heartbeat(
        Heartbeat(agent="lab-1", host="h", pid=1, version="1", started_at=1.0, at=START, slots=(slot,))
    )
    table = SlotTable(store, "slots")
    vars(table)["_slots"] = {"lab-1/s0": (store.lab.agents()[0], slot)}
    widths = [(column, 4) for column in SlotTable.columns if column.key in {"done", "installs"}]
    assert [cell[0][0] for cell in table.cells("lab-1/s0", [*widths, NOTE])][:2] == ["   7", "   2"]
    store.link.replay = "replay"
    assert [cell[0][0] for cell in table.cells("lab-1/s0", [*widths, NOTE])][:2] == ["    ", "    "]


def test_what_waits_is_told_by_what_it_needs() -> None:
    store = Store(ManualClock(START))
    groups = tuple(
        GroupView(
            group=GroupRef(capability=needs, org_id="acme", app_version_id=build),
            waiting=waiting,
            released=released,
            running=running,
        )
        for needs, build, waiting, released, running in (
            ("device", "v1", 5, 2, 1),
            ("device", "v2", 3, 0, 0),
            ("emulator", "v1", 0, 2, 2),
        )
    )
    store.apply_overview(Overview(at=START, groups=groups))
    store.take_changes()
    assert store.waiting_by_capability() == {"device": 8}, "what is released to a slot is not in the queue"
    assert store.history.capabilities["device"].plot(1) == [8]


def test_the_history_keeps_the_needs_of_which_most_waits() -> None:
    history = History(START)
    history.sample(1, {}, 0, {f"c{n}": n for n in range(1, 40)})
    assert len(history.capabilities) == History.MAX_CAPABILITIES
    assert "c39" in history.capabilities
    assert "c1" not in history.capabilities


def crowd(*names: str, slots: int = 2) -> Store:
    store = Store(ManualClock(START))
    for name in names:
        some = tuple(SlotStatus(name=f"s{n}", driver="none", state="idle") for n in range(slots))
        store.apply_heartbeat(
            Heartbeat(agent=name, host="h", pid=1, version="1", started_at=1.0, at=START, slots=some)
        )
    return store


def test_agents_stand_in_the_order_in_which_people_count() -> None:
    lab = crowd("rack-10", "rack-2", "rack-1", "mac", "rack-02b", "7", "10").lab
    assert [record.name for record in lab.agents()] == [
        "7",
        "10",
        "mac",
        "rack-1",
        "rack-2",
        "rack-02b",
        "rack-10",
    ]


@pytest.mark.parametrize(("agents", "width", "rows"), [(5, 200, 5), (40, 200, 6), (40, 60, 20), (40, 30, 40)])
def test_a_map_of_many_agents_has_columns_where_there_is_room(agents: int, width: int, rows: int) -> None:
    names = [f"lab-{n}" for n in range(agents)]
    lines = LabMap(crowd(*names, slots=5), "map").draw(width, 60)
    said = ["".join(text for text, _ in line).rstrip() for line in lines]
    assert len(said) == rows + 1, "and the legend"
    assert all(len(line) <= width for line in said)
    assert sum(line.count("□") for line in said) == agents * 5
    assert [line.split()[0] for line in said[:2]] == ["lab-0", "lab-1"], "it is read downwards"
