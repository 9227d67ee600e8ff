"""Bars, times, history, the link, the lab: the small pure parts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping
from sys import getsizeof

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.agents import Heartbeat, SlotStatus
from bus_schemas.events import Released
from bus_schemas.requests import JobView, Overview
from qgjob.clock import ManualClock
from tests.support.lab.model import START, LabModel
from tui.draw.bars import area, bar, nice_maximum, rule, spark
from tui.draw.times import age, short_count, size, span
from tui.store.attempt import AttemptFacts, End, Run
from tui.store.history import History, Rate, Ring, Series
from tui.store.job import Job
from tui.store.lab import Lab
from tui.store.link import Link
from tui.store.oldest import Oldest
from tui.store.store import Store


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 50))
def test_bars_fit_and_nothing_but_nothing_is_invisible(value: float, maximum: float, width: int) -> None:
    for draw in (bar, rule):
        drawn = draw(value, maximum, width)
        assert len(drawn) <= width
        assert bool(drawn) == (value > 0 and maximum > 0 and width > 0)


@given(st.lists(st.floats(0, 1e6), max_size=60), st.integers(1, 40), st.integers(1, 5))
def test_charts_have_the_size_that_was_asked_for(values: list[float], width: int, height: int) -> None:
    rows = area(values, width, height)
    assert [len(row) for row in rows] == [width] * height
    for column, value in enumerate(reversed(values[-width:])):
        assert (rows[-1][-1 - column] != " ") == (value > 0)


def test_a_chart_reads_from_the_left() -> None:
    assert spark([0, 1, 2, 4, 8], 5) == " ▁▂▄█"
    assert spark([8], 3) == "  █"
    assert area([1, 2], 2, 2) == [" █", "██"]
    assert (bar(1, 2, 4), rule(3, 8, 4)) == ("██", "━╸")


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (3, 5), (7, 10), (11, 20), (99, 100), (740, 1000)]
)
def test_scales_are_round(value: float, top: float) -> None:
    assert nice_maximum(value) == top


@given(st.floats(0, 1e9))
def test_durations_are_short(seconds: float) -> None:
    assert len(span(seconds)) <= 5
    assert len(age(seconds)) <= 5
    assert len(short_count(seconds)) <= 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (9.9, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m00"),
        (187, "3m07"),
        (7500, "2h05"),
        (273_600, "3d4h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_sizes_and_counts() -> None:
    assert (size(812), size(3_565_158), size(5 * 2**30)) == ("812 B", "3.4 MiB", "5.0 GiB")
    assert (short_count(999), short_count(1200), short_count(45_000), short_count(999_999)) == (
        "999",
        "1.2k",
        "45k",
        "1.0M",
    )


@given(st.lists(st.floats(0, 100), max_size=50), st.integers(1, 20), st.integers(0, 60))
def test_a_ring_keeps_the_last(values: list[float], capacity: int, count: int) -> None:
    ring = Ring(capacity)
    for value in values:
        ring.add(value)
    assert ring.last(count) == values[-capacity:][-count:] if count else ring.last(0) == []


def test_series_roll_up() -> None:
    series = Series()
    for value in range(120):
        series.add(value)
    assert series.last(2, 60) == [29.5, 89.5]
    assert series.last(1, 10) == [114.5]


def test_a_plot_covers_more_time_as_time_goes_on() -> None:
    series = Series()
    assert series.plot(10) == []
    for value in range(15):
        series.add(value)
    assert series.plot(10) == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    for value in range(15, 45):
        series.add(value)
    assert series.plot(10) == [4.5, 14.5, 24.5, 34.5, 42.0]
    for _ in range(3000):
        series.add(7)
    assert series.plot(10) == [7] * 10
    assert series.plot(0) == []


def test_history_takes_one_value_a_second_and_holds_over_a_gap() -> None:
    history = History(0.0)
    assert history.sample(10.2, {"high": 3}, 1)
    assert not history.sample(10.9, {"high": 9}, 1)
    history.count_end(11.0)
    assert history.sample(13.0, {"high": 5}, 2)
    assert history.depths["high"].last(9) == [3, 5, 5, 5]
    assert history.ended.last(9) == [0, 1, 0, 0]
    history.sample(1000.0, {}, 0)
    assert len(history.running.last(999)) == 4 + History.MAX_GAP_S + 1


def test_a_rate_goes_by_when_things_happened_and_by_the_time_that_was_seen() -> None:
    rate = Rate(since=1000.0)
    assert rate.per_minute(1000.0) == 0
    for second in range(1000, 1020):
        rate.note(second + 0.5)
    assert rate.per_minute(1020.0) == 60, "20 in 20 s"
    for second in range(1020, 1400):
        rate.note(second + 0.5)
        rate.note(second + 0.7)
    assert rate.per_minute(1400.0) == pytest.approx(120, abs=2)
    assert rate.per_minute(1430.0) == pytest.approx(60, abs=2), "half of the minute was quiet"
    assert rate.per_minute(9999.0) == 0


def test_the_link_says_where_it_stands() -> None:
    link = Link(server="nats://x", since=100.0, last_sign=100.0)

    def said(now: float) -> str:
        status = link.status(now)
        return f"{status.word} {status.detail}".strip()

    assert said(100) == "connecting"
    assert said(103) == "connecting 3 s"
    link.move("loading", 104)
    link.sign(104)
    assert said(105) == "loading"
    link.move("live", 105)
    assert said(106) == "live"
    assert said(112) == "stale for 7 s"
    link.sign(112)
    assert said(113) == "live"
    link.silent = "The server is there, but no scheduler answers."
    assert said(113) == "no scheduler"
    link.move("reconnecting", 120, "The connection was lost.")
    assert said(131) == "reconnecting 11 s"
    for number in range(50):
        link.announce(str(number))
    assert len(link.notices) == 20


def test_the_link_says_that_nobody_leads_once_no_leader_was_heard_for_a_while() -> None:
    link = Link(server="nats://x", since=100.0, last_sign=100.0)

    def said(now: float) -> str:
        link.sign(now)  # the server itself is heard all the time
        return link.status(now).word

    link.move("live", 100)
    assert said(104) == said(108) == said(112) == "live", "nobody was heard yet: the snapshot tells"
    link.led(112)
    assert said(116) == "live"
    assert said(119) == "no scheduler"
    assert link.unled(119) == "No leading scheduler was heard for 7 s: nothing is scheduled at present."
    link.led(120)
    assert (said(121), link.unled(121)) == ("live", "")
    assert said(123) == "live"
    # Nothing at all was heard for ten seconds: a leader may have spoken meanwhile.
    assert said(133) == "live"
    assert said(137) == "live"
    assert said(140) == "no scheduler"


def beat(at: float, state: str = "up", agent: str = "lab-1") -> Heartbeat:
    return Heartbeat.model_validate(
        {
            "agent": agent,
            "host": "h",
            "pid": 1,
            "version": "1",
            "started_at": 0.0,
            "at": at,
            "state": state,
            "slots": (SlotStatus(name="s0", driver="process", state="busy"),),
        }
    )


def test_an_agent_is_lost_by_our_own_clock_and_a_repeated_heartbeat_does_not_help() -> None:
    lab = Lab()
    lab.hear(beat(5.0), 100.0)
    record = lab.agents()[0]
    assert record.state(110.0) == "up"
    assert lab.busy_slots() == (1, 1)
    assert not lab.hear(beat(5.0), 114.0)
    assert record.state(116.0) == "lost"
    assert record.slot_state(record.beat.slots[0], 116.0) == "lost"
    lab.hear(beat(6.0), 117.0)
    assert lab.agents()[0].state(118.0) == "up"
    lab.hear(beat(7.0, "gone"), 118.0)
    assert lab.agents()[0].state(150.0) == "gone"
    lab.sweep(200.0)
    assert not lab.agents()


def test_a_snapshot_knows_how_old_a_heartbeat_is() -> None:
    store = Store(ManualClock(1000.0))
    store.hear_heartbeat(beat(990.0), snapshot=True)
    assert store.lab.agents()[0].age(store.clock.monotonic()) == 10.0


def test_a_delayed_job_becomes_a_queued_one_by_itself() -> None:
    clock = ManualClock(START)
    store = Store(clock)
    model = LabModel(seed=1, now=START)
    event = model.submit(1)[0]
    store.hear_event(event.model_copy(update={"not_before": START + 30}), 1)
    job = store.jobs.get(event.job_id)
    assert job is not None
    assert job.state == "scheduled"
    store.take()
    clock.advance(31)
    assert store.take().jobs == {event.job_id}
    assert job.state == "queued"


def test_changes_are_told_once() -> None:
    store = Store(ManualClock(START))
    store.take()
    assert not store.take()
    store.hear_overview(Overview(at=1.0))
    changes = store.take()
    assert changes.overview
    assert not changes.jobs
    assert not store.take()
    store.forget()
    assert store.take().overview
    assert store.overview is None


def test_a_job_of_which_only_its_id_is_known() -> None:
    job = Job("j_1", "acme", "r_1")
    released = Released(org_id="acme", run_id="r_1", job_id="j_1", attempt=2, at=5.0, group="g")
    job.hear(released, 1, 10.0)
    assert (job.state, job.attempt, job.test, job.priority) == ("dispatched", 2, "", 0)
    assert job.took(10.0) is None
    assert job.waited(10.0) is None


def see(store: Store, number: int, *, ended: bool) -> None:
    store.see_job(
        JobView(
            job_id=f"j_{number}",
            run_id="r",
            org_id="o",
            app_version_id="v",
            test="t",
            state="passed" if ended else "queued",
            priority=5,
            runner="pytest",
            created_at=float(number),
            ended_at=float(number) if ended else None,
        )
    )


def test_the_oldest_ended_jobs_are_forgotten_first() -> None:
    store = Store(ManualClock(START), max_jobs=40)
    for number in range(60):
        see(store, number, ended=number < 30)
    assert len(store.jobs) <= 40
    assert all(store.jobs.get(f"j_{number}") for number in range(30, 60))
    assert store.jobs.get("j_0") is None


def test_one_job_is_forgotten_for_each_that_comes() -> None:
    store = Store(ManualClock(START), max_jobs=100)
    for number in range(100):
        see(store, number, ended=number % 2 == 0)
    store.take()
    for number in range(100, 140):
        see(store, number, ended=False)
        assert len(store.jobs) == 100
        assert store.take().jobs == {f"j_{number}", f"j_{2 * (number - 100)}"}


@pytest.mark.parametrize("wakes", [True, False])
def test_jobs_that_have_not_ended_are_all_kept_and_rarely_looked_through(
    monkeypatch: pytest.MonkeyPatch, wakes: bool
) -> None:
    looked_at: list[int] = []

    def counting(self: Oldest, job_ids: Collection[str]) -> None:
        looked_at.append(len(job_ids))
        original(self, job_ids)

    original = Oldest.begin
    monkeypatch.setattr(Oldest, "begin", counting)
    store = Store(ManualClock(START), max_jobs=1000)
    for number in range(3000):
        see(store, number, ended=number < 10)
        if wakes:
            store.jobs.wake(START)
    assert len(store.jobs) == 2990
    assert len(looked_at) <= 100  # one for every twentieth of the limit or so, not one for each job


def test_those_to_be_forgotten_are_found_before_there_is_need_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[int] = []

    def counting(self: Oldest, jobs: Mapping[str, Job], budget: int) -> None:
        steps.append(budget)
        original(self, jobs, budget)

    original = Oldest.step
    monkeypatch.setattr(Oldest, "step", counting)
    store = Store(ManualClock(START), max_jobs=10_000)
    for number in range(30_000):
        see(store, number, ended=True)
        if number % 50 == 0:
            store.jobs.wake(START)
    assert len(store.jobs) == 10_000
    assert store.jobs.get("j_19999") is None
    assert max(steps) < 5000  # no key has to wait for a look at all of them


def test_what_is_left_of_a_large_run_does_not_take_its_room() -> None:
    store = Store(ManualClock(START))
    for number in range(1000):
        see(store, number, ended=True)
    run = store.jobs.runs.get("r")
    assert run is not None
    for number in range(997):
        store.jobs.drop(f"j_{number}")
    assert run.job_ids == {"j_997", "j_998", "j_999"}
    assert getsizeof(run.job_ids) <= getsizeof(set(range(5)))


def test_the_store_and_the_drawing_need_no_textual_and_no_bus() -> None:
    """Headless means headless; and the first paint waits neither for pydantic nor for nats."""
    headless = (
        "import sys, pkgutil, importlib, tui.store, tui.draw\n"
        "for package in (tui.store, tui.draw):\n"
        "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "print([m for m in ('textual', 'nats', 'pydantic', 'asyncio') if m in sys.modules])\n"
        "import tui.launch\n"
        "print([m for m in ('nats', 'pydantic', 'bus_schemas', 'redis', 'typer') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", headless], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_what_was_said_before_the_test_began_is_over() -> None:
    facts = AttemptFacts(1)
    assert facts.doing == ""
    facts.say(4, "installing v1")
    assert facts.doing == "installing v1"
    facts.ran(Run(5, 10.0, installed=True, install_s=3.0))
    assert facts.doing == ""
    facts.say(6, "half way")
    assert facts.doing == "half way"
    facts.finish(End(final=True, state="passed", at=20.0))
    assert facts.doing == ""
