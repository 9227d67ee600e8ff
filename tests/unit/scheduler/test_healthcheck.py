"""What should have gone by itself and is still there says that the server cannot write."""

from __future__ import annotations

from bus_schemas.streams import AGENT_TTL_S, LEADER_TTL_S
from qgjob.bus.follow import StreamMessage
from qgjob.scheduler.queries.health_check import agents_view, leader_view
from tests.support.views import heartbeat

NOW = 1_800_000_000.0


def key(age: float) -> StreamMessage:
    return StreamMessage("$KV.qg_leader.leader", b'{"replica": "lab-1"}', seq=23, at=NOW - age, pending=0)


def test_a_leader_whose_key_is_renewed_is_well() -> None:
    view = leader_view(key(LEADER_TTL_S), NOW)
    assert (view.ok, view.detail) == (True, "replica lab-1, renewed at revision 23")


def test_a_leader_whose_key_is_not_renewed_and_does_not_go_is_not_well() -> None:
    view = leader_view(key(41), NOW)
    assert not view.ok
    assert view.detail.startswith(
        "replica lab-1 could not renew its reign for 41s: is the disk of the server full"
    )
    assert "max_file_store" in view.detail


def test_without_a_key_nobody_leads() -> None:
    assert not leader_view(None, NOW).ok


def test_agents_that_are_heard_are_well() -> None:
    beats = [(heartbeat("a", ("emulator",)), NOW - AGENT_TTL_S), (heartbeat("b", ("emulator",)), NOW + 0.2)]
    view = agents_view(beats, NOW)
    assert (view.ok, view.detail) == (True, "2 agents, 2 slots")


def test_agents_whose_heartbeats_are_old_and_do_not_go_are_not_well() -> None:
    beats = [(heartbeat("a", ("emulator",)), NOW - 100), (heartbeat("b", ("emulator",)), NOW - 70)]
    assert not agents_view(beats, NOW).ok
    assert agents_view(beats, NOW).detail.startswith(
        "2 agents, 2 slots; none was heard for 1m10s: is the disk of the server full"
    )
    some = agents_view([*beats, (heartbeat("c", ("emulator",)), NOW)], NOW)
    assert "; 2 were not heard for 1m10s" in some.detail
