"""How the doctor judges what it was told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus_schemas.agents import GroupRef, Heartbeat, SlotStatus
from bus_schemas.holds import BuildHold
from bus_schemas.queries import CheckView, ClockView, GroupView, HealthAnswer, Overview, PauseView
from qgjob import __version__
from qgjob.cli.checkup import lab, machine, server
from qgjob.cli.checkup.finding import Finding, Status, worst
from qgjob.config import RunningUp

GIB = 2**30


def agent(name: str, *states: str, version: str = __version__, schema: int = 1) -> Heartbeat:
    slots = tuple(
        SlotStatus(name=f"s{number}", driver="process", state=state)  # pyright: ignore[reportArgumentType]
        for number, state in enumerate(states)
    )
    return Heartbeat(
        agent=name,
        host="h",
        pid=1,
        version=version,
        schema_version=schema,
        started_at=0,
        at=0,
        slots=slots,
    )


def answer(*checks: CheckView, version: str = __version__) -> HealthAnswer:
    return HealthAnswer(ok=False, checks=checks, at=1.0, version=version, schema_version=1)


@pytest.mark.parametrize(
    ("statuses", "gravest"),
    [((), "ok"), (("ok", "unknown"), "unknown"), (("warning", "ok"), "warning"), (("wrong", "ok"), "wrong")],
)
def test_the_gravest_counts(statuses: tuple[Status, ...], gravest: Status):
    assert worst(Finding("x", status, "") for status in statuses) == gravest


@pytest.mark.parametrize("name", ["scheduler", "streams", "store", "leader", "projection", "agents", "queue"])
def test_whatever_the_scheduler_finds_wrong_comes_with_what_to_do(name: str):
    (found,) = lab.of_health(answer(CheckView(name=name, ok=False, detail="broken.")))
    assert (found.status, found.detail) == ("wrong", "broken")
    assert found.hint


def test_a_server_that_cannot_write_is_to_be_given_room():
    detail = "a replica could not renew its reign for 9s: is the disk full, or max_file_store reached?"
    (found,) = lab.of_health(answer(CheckView(name="leader", ok=False, detail=detail)))
    assert found.hint
    assert "a full disk" in found.hint


def test_letters_that_were_set_aside_are_a_warning():
    (found,) = lab.of_health(answer(CheckView(name="dead_letters", ok=True, detail="3 unreadable messages")))
    assert found.status == "warning"
    assert found.hint
    assert "qgjob deadletters list" in found.hint
    (found,) = lab.of_health(answer(CheckView(name="dead_letters", ok=True, detail="none")))
    assert found.status == "ok"


def test_versions_that_differ_are_named():
    assert lab.versions(answer(), [agent("a"), agent("b")]).status == "ok"
    found = lab.versions(answer(), [agent("a", version="0.0.9")])
    assert (found.status, "a 0.0.9" in found.detail) == ("warning", True)
    found = lab.versions(answer(version="9.9"), [agent("a", schema=2)])
    assert (found.status, "a 2" in found.detail) == ("warning", True)


@pytest.mark.parametrize(
    ("ahead", "bound", "status"),
    [(0.5, 0.1, "ok"), (2.5, 1.0, "ok"), (-4.0, 1.0, "warning"), (31.5, 1.0, "wrong"), (-40.0, 0.1, "wrong")],
)
def test_a_clock_is_off_by_what_its_bound_does_not_explain(ahead: float, bound: float, status: Status):
    assert lab.clocks([ClockView(name="a", ahead_s=ahead, bound_s=bound)], None).status == status


def test_the_own_clock_is_compared_by_way_of_the_scheduler():
    scheduler = ClockView(name="scheduler", ahead_s=-1.0, bound_s=0.1)
    own = ClockView(name="this machine", ahead_s=6.0, bound_s=0.2)
    found = lab.clocks([scheduler], own)
    assert found.status == "warning"
    assert "this machine is 5.0 s ahead (±0.3 s)" in found.detail
    assert lab.clocks([], own).status == "unknown"


def test_slots_that_take_nothing():
    assert lab.slots([agent("a", "idle", "busy")])[0].status == "ok"
    (found,) = lab.slots([agent("a", "idle", "quarantined")])
    assert (found.status, "a/s1 quarantined" in found.detail) == ("warning", True)
    full = SlotStatus(name="s0", driver="adb", state="quarantined", note="the disk is full")
    (found,) = lab.slots([agent("a", "idle"), agent("b").model_copy(update={"slots": (full,)})])
    assert found.detail == "of 2, b/s0 quarantined (the disk is full)"
    assert lab.slots([agent("a", "lost"), agent("b", "paused")])[0].status == "wrong"
    assert lab.slots([agent("a")])[0].status == "wrong"
    assert lab.slots([]) == []  # that no agent is there is said elsewhere


def test_pauses_and_builds_that_are_held_say_how_to_lift_them():
    overview = Overview(
        at=0,
        pauses=(PauseView(by="ann", at=0, note="fire"), PauseView(org_id="o", capability="c", by="b", at=0)),
        builds_held=(
            BuildHold(org_id="o", app_version_id="v", why="failed", since=0, until=1),
            BuildHold(org_id="o > p", app_version_id="v $(x)", why="failed", since=0, until=1),
        ),
    )
    everything, some, build, odd = lab.rules(overview)
    assert "qgjob app resume 'v $(x)' --org-id 'o > p'" in (odd.hint or ""), "as a shell takes it"
    assert "`qgjob queue resume`" in (everything.hint or "")
    assert "qgjob queue resume --org-id o --capability c" in (some.hint or "")
    assert "qgjob app resume v --org-id o" in (build.hint or "")


def test_jobs_that_need_what_no_slot_has_are_named():
    group = GroupView(
        group=GroupRef(capability="android14", org_id="o", app_version_id="v"),
        waiting=1,
        released=1,
        running=0,
    )
    overview = Overview(at=0, groups=(group,))
    (found,) = lab.labels(overview, [agent("a", "idle", "lost")])
    assert (found.status, found.detail) == ("warning", "2 jobs need what no slot has: android14")
    assert "`qgjob queue status --capability android14`" in (found.hint or "")
    assert list(lab.labels(overview, [])) == [], "that no agent is there is said elsewhere"


@pytest.mark.parametrize(
    ("used", "limit", "status"),
    [(5, None, "ok"), (5, 10, "ok"), (9, 10, "warning"), (10, 10, "wrong"), (0, 0, "wrong")],
)
def test_the_store_against_its_limit(used: int, limit: int | None, status: Status):
    assert server.storage(used, limit).status == status


@pytest.mark.parametrize(
    ("free", "status"), [(0, "wrong"), (2**28, "wrong"), (GIB, "warning"), (6 * GIB, "ok")]
)
def test_free_space(free: int, status: Status):
    assert machine.disk_status(free) == status


def test_a_folder_that_is_not_there_and_a_gateway_that_is_none(tmp_path: Path):
    found = machine.disk("disk", tmp_path / "gone", "things are", "make it")
    assert (found.status, found.hint) == ("wrong", "make it")
    assert machine.http("ftp://x").status == "wrong"
    assert machine.http("http://127.0.0.1:1").status == "wrong"
    assert machine.http(None).status == "unknown"


def test_who_said_where_the_server_is():
    up = RunningUp("nats://u:1", None, 1, "/d", 1.0)
    assert (
        "QGJOB_SERVER"
        in machine.source("nats://e:1", "nats://e:1", {"QGJOB_SERVER": "nats://e:1"}, up).detail
    )
    assert "qgjob up" in machine.source("nats://u:1", None, {}, up).detail
    assert "default" in machine.source("nats://127.0.0.1:4222", None, {}, None).detail
    assert "secret" not in machine.source("nats://u:secret@h:1", "x", {}, None).detail
