"""A tape that is played, wound and stepped shows what was; the live store goes on beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.events import AnyEvent, Ended
from tests.support.clock import ManualClock
from tests.support.dashboard import PlayedDashboard, shown, text_of
from tests.support.lab.model import START, LabModel
from tests.support.wait import wait_for
from tui.actions.command_line import CommandError, parse_ago, parse_moment
from tui.replay.replay import Replay
from tui.replay.tape import Moment, Player, Tape
from tui.store.store import Store


def events(seconds: int = 200) -> list[AnyEvent]:
    model = LabModel(seed=8, mean_test_s=12, install_s=4)
    return [event for _ in range(seconds) for event in model.play(1, keep_waiting=10)]


def tape_of(some: list[AnyEvent]) -> Tape:
    tape = Tape()
    tape.record([Moment(event.at, seq, event) for seq, event in enumerate(some, start=1)])
    return tape


def states(store: Store) -> dict[str, tuple[str, int, str]]:
    return {i: (j.state, j.attempt, j.slot_name) for i in store.jobs if (j := store.jobs.get(i)) is not None}


def test_winding_back_forgets_what_was_still_to_come() -> None:
    replay = Replay(tape_of(events()), "")
    for _ in range(40):
        replay.tick(0.25)
        replay.store.take_changes()
    assert len(replay.store.waits) > 0
    assert any(replay.store.history.depths["medium"].plot(50))
    replay.seek(replay.tape.begin)
    replay.store.take_changes()
    assert len(replay.store.waits) == 0
    assert not any(replay.store.history.ended.plot(50))


def test_figures_of_a_moment_do_not_depend_on_how_it_was_reached() -> None:
    tape = tape_of(events())
    middle = (tape.begin + tape.end) / 2
    sought, played = Replay(tape, ""), Replay(tape, "")
    sought.seek(middle)
    while played.clock.now() < middle:
        played.tick(min(0.25, (middle - played.clock.now()) / played.speed))
        played.store.take_changes()
    rates = [one.store.history.ends.per_minute(middle) for one in (sought, played)]
    assert rates[0] == rates[1] > 0
    back = Replay(tape, "")
    back.seek(tape.end)
    back.seek(middle)
    while back.seeking:
        back.tick(0.0)
    assert back.store.history.ends.per_minute(middle) == rates[0]


def test_what_is_released_ahead_does_not_run_yet() -> None:
    some = events(60)
    first = next(i for i, event in enumerate(some) if event.kind == "released")
    replay = Replay(tape_of(some[: first + 1]), "")
    replay.seek(replay.tape.end)
    released = [job for i in replay.store.jobs if (job := replay.store.jobs.get(i)) and job.active]
    assert [job.state for job in released] == ["dispatched"]
    overview = replay.store.overview
    assert overview is not None
    assert (overview.running, overview.slots_busy) == (0, 0)
    assert [(group.running, group.released) for group in overview.groups] == [(0, 1)]


async def test_a_long_way_is_gone_in_small_steps_between_which_keys_are_answered() -> None:
    played = PlayedDashboard()
    async with shown(played) as pilot:
        replay = Replay(tape_of(events(400)), "")
        played.app.show_replay(replay)
        replay.toggle()
        vars(replay)["_target"] = len(replay.tape)
        assert replay.seeking
        played.draw()
        await wait_for(lambda: not replay.seeking)
        await pilot.pause()


def test_the_end_of_the_tape_is_what_the_live_store_says() -> None:
    some = events()
    live = Store(ManualClock(max(event.at for event in some)))
    for seq, event in enumerate(some, start=1):
        live.apply_event(event, seq)
    replay = Replay(tape_of(some), "")
    replay.seek(replay.tape.end)
    while replay.seeking:
        replay.tick(0.25)
    assert states(replay.store) == states(live)
    assert any(state == "passed" for state, _, _ in states(live).values())


def test_an_attempt_whose_chain_was_rolled_up_is_seen_running_before_its_end() -> None:
    some = events()
    ended = next(e for e in some if isinstance(e, Ended) and e.result.running_at)
    # What the stream keeps of it: the end alone.
    tape = tape_of([ended])
    replay = Replay(tape, "")
    replay.seek((ended.result.running_at or 0) + 0.01)
    job = replay.store.jobs.get(ended.job_id)
    assert job is not None
    assert (job.state, job.slot_name) == ("running", f"{ended.result.agent}/{ended.result.slot}")
    replay.seek(tape.end)
    assert job is not replay.store.jobs.get("nobody")
    found = replay.store.jobs.get(ended.job_id)
    assert found is not None
    assert found.ended == ended.final


_EVENTS = events(60)


@given(st.lists(st.integers(0, 2 * len(_EVENTS)), min_size=1, max_size=6), st.integers(1, 500))
def test_however_it_is_wound_a_place_shows_the_same(places: list[int], budget: int) -> None:
    tape = tape_of(_EVENTS)
    clock = ManualClock(START + 1000)
    wound = Player(tape, Store(clock))
    for place in places:
        while wound.go_to(place, budget):
            pass
    straight = Player(tape, Store(clock))
    while straight.go_to(places[-1], len(tape) + 1):
        pass
    assert states(wound.store) == states(straight.store)


def test_steps_speed_and_pause() -> None:
    replay = Replay(tape_of(events(60)), "")
    begin = replay.clock.now()
    replay.speed = 5.0
    replay.tick(2.0)
    assert replay.clock.now() == pytest.approx(begin + 10)
    replay.change_speed(1)
    assert replay.speed == 20.0
    replay.toggle()
    replay.tick(2.0)
    assert replay.clock.now() == pytest.approx(begin + 10)
    replay.step(3)
    assert not replay.playing
    assert replay.clock.now() >= begin + 10
    monotonic = replay.clock.monotonic()
    replay.seek(begin)
    assert replay.clock.monotonic() >= monotonic
    assert not any(job.ended for i in replay.store.jobs if (job := replay.store.jobs.get(i)))


def test_overview_and_agents_are_told_by_the_jobs() -> None:
    replay = Replay(tape_of(events(100)), "")
    replay.seek(replay.tape.begin + 60)
    overview = replay.store.overview
    assert overview is not None
    jobs = [j for i in replay.store.jobs if (j := replay.store.jobs.get(i))]
    assert overview.running == sum(job.active for job in jobs) > 0
    assert sum(overview.depths.values()) == overview.waiting
    assert replay.store.lab.busy_slots(replay.clock.monotonic())[0] == len(
        {job.slot_name for job in jobs if job.active and job.slot_name}
    )


async def test_the_screens_show_the_tape_and_go_back_to_now() -> None:
    played = PlayedDashboard(LabModel(seed=4, mean_test_s=15))
    played.play(60)
    played.live()
    async with shown(played) as pilot:
        replay = Replay(tape_of(events(100)), "")
        played.app.show_replay(replay)
        replay.seek(replay.tape.begin + 50)
        await wait_for(lambda: played.app.screen.is_mounted and len(played.app.index) > 0)
        played.draw()
        await pilot.pause()
        await wait_for(lambda: "replay ▶ ×20" in text_of(played))
        await pilot.press("c")
        assert not played.app.operations
        await pilot.press("f9")
        played.draw()
        await wait_for(lambda: "● live" in text_of(played))
        assert played.app.store is played.store


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200)])
def test_how_long_ago(text: str, seconds: float) -> None:
    assert parse_ago(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "25h", "-1", "0"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(CommandError):
        parse_ago(text)
    with pytest.raises(CommandError):
        parse_moment(f"{text}:99", START)


def test_a_time_of_day_is_the_last_one() -> None:
    assert 0 <= START - parse_moment("09:00", START) < 86_400
    assert 0 <= START - parse_moment("23:59:30", START) < 86_400


async def test_while_it_is_read_the_progress_stands_beside_the_reason_why_no_scheduler_answers() -> None:
    played = PlayedDashboard(LabModel(seed=4, mean_test_s=15))
    played.play(20)
    played.live()
    played.store.link.query_error = "No answer in 5 s."
    async with shown(played, (140, 40)) as pilot:
        played.app.show_progress("Reading what happened: 2,000 events …")
        played.draw()
        await pilot.pause()
        said = text_of(played)
        for part in ("▲ no scheduler", "Reading what happened: 2,000 events …", "No answer in 5 s."):
            assert part in said
        played.app.show_progress("")
        played.draw()
        await pilot.pause()
        assert "Reading" not in text_of(played)
        assert "No answer in 5 s." in text_of(played)
