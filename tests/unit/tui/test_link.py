"""What is said of the connection, of the leader and of the agents."""

from __future__ import annotations

from bus_schemas.agents import Heartbeat, SlotStatus
from tests.support.clock import ManualClock
from tui.store.lab import Lab
from tui.store.link import Link
from tui.store.store import Store


def test_the_link_says_where_it_stands() -> None:
    link = Link(server="nats://x", since=100.0, last_activity=100.0)

    def said(now: float) -> str:
        status = link.status(now)
        return f"{status.word} {status.detail}".strip()

    assert said(100) == "connecting"
    assert said(103) == "connecting 3 s"
    link.set_phase("loading", 104)
    link.record_activity(104)
    assert said(105) == "loading"
    link.set_phase("live", 105)
    assert said(106) == "live"
    assert said(112) == "stale for 7 s"
    link.record_activity(112)
    assert said(113) == "live"
    link.query_error = "The server is there, but no scheduler answers."
    assert said(113) == "no scheduler"
    link.record_leader(113)
    assert said(114) == "no job list", "it leads, so it schedules"
    link.set_phase("reconnecting", 120, "The connection was lost.")
    assert said(131) == "reconnecting 11 s"
    for number in range(50):
        link.add_notice(str(number))
    assert len(link.notices) == 20


def test_the_link_says_that_nobody_leads_once_no_leader_was_heard_for_a_while() -> None:
    link = Link(server="nats://x", since=100.0, last_activity=100.0)

    def said(now: float) -> str:
        link.record_activity(now)  # the server itself is heard all the time
        return link.status(now).word

    link.set_phase("live", 100)
    assert said(104) == said(108) == said(112) == "live", "nobody was heard yet: the snapshot tells"
    link.record_leader(112)
    assert said(116) == "live"
    assert said(119) == "no scheduler"
    assert (
        link.leaderless_warning(119)
        == "No leading scheduler was heard for 7 s: nothing is scheduled at present."
    )
    link.record_leader(120)
    assert (said(121), link.leaderless_warning(121)) == ("live", "")
    assert said(123) == "live"
    # Nothing at all was heard for ten seconds: a leader may have spoken meanwhile.
    assert said(133) == "live"
    assert said(137) == "live"
    assert said(140) == "no scheduler"


def test_a_link_that_is_too_slow_says_how_far_behind_it_is() -> None:
    link = Link(server="nats://x", since=100.0, last_activity=100.0)
    link.set_phase("live", 100)

    def said(now: float) -> str:
        link.record_activity(now)  # something comes all the time
        return link.status(now).word

    link.record_ping(100.0)
    link.record_pong(100.0, 100.1)
    link.record_ping(102.0)
    assert said(103) == "live"
    link.record_ping(104.0)
    assert said(106) == "behind by 4 s", "the answer to the first one is on its way for so long"
    link.record_pong(102.0, 107.0)
    assert said(107) == "behind by 5 s", "so long it took"
    assert "5s old" in link.behind_warning(107)
    link.record_ping(107.0)
    link.record_pong(107.0, 107.2)
    assert (said(108), link.behind_warning(108)) == ("live", ""), "those before it were answered or are lost"
    link.record_ping(110.0)
    link.begin_anew(120)
    assert (said(120), link.connected_for(124)) == ("live", 4.0), "another connection"


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
    lab.apply_heartbeat(beat(5.0), 100.0)
    record = lab.agents()[0]
    assert record.state(110.0) == "up"
    assert lab.busy_slots(110.0) == (1, 1)
    assert not lab.apply_heartbeat(beat(5.0), 114.0)
    assert record.state(116.0) == "lost"
    assert record.slot_state(record.beat.slots[0], 116.0) == "lost"
    lab.apply_heartbeat(beat(6.0), 117.0)
    assert lab.agents()[0].state(118.0) == "up"
    lab.apply_heartbeat(beat(7.0, "gone"), 118.0)
    assert lab.agents()[0].state(150.0) == "gone"
    lab.sweep(200.0)
    assert not lab.agents()


def test_a_snapshot_knows_how_old_a_heartbeat_is() -> None:
    store = Store(ManualClock(1000.0))
    store.apply_heartbeat(beat(990.0), snapshot=True)
    assert store.lab.agents()[0].age(store.clock.monotonic()) == 10.0
