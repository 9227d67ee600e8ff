"""What holds up all that is waited for."""

from __future__ import annotations

import pytest

from bus_schemas.agents import SlotState, SlotStatus
from bus_schemas.holds import BuildHold
from bus_schemas.queries import Overview, PauseView
from qgjob.client.watching.standstill import standstill
from tests.support.views import view


def overview(*pauses: PauseView) -> Overview:
    return Overview(at=1.0, pauses=pauses)


def slot(name: str, state: SlotState, *labels: str) -> tuple[str, SlotStatus]:
    return f"lab/{name}", SlotStatus(name=name, driver="process", state=state, labels=labels)


def pause(org_id: str | None = None, capability: str | None = None, note: str | None = None) -> PauseView:
    return PauseView(org_id=org_id, capability=capability, by="ann@desk", at=1.0, note=note)


JOB = view(job_id="j_1", org_id="acme", app_version_id="v1", requires=("android-14", "emulator"))


SLOTS = [slot("s0", "busy", "android-14", "emulator"), slot("s1", "draining", "android-14", "emulator")]


def test_what_only_waits_for_its_turn_is_not_held_up() -> None:
    assert standstill([JOB], overview(), SLOTS) is None
    assert standstill([JOB], overview(), []) is None


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (pause(), "the whole queue was paused by ann@desk. It ends with: qgjob queue resume"),
        (
            pause("acme", note="backend is down."),
            "the organisation acme was paused by ann@desk: backend is down.",
        ),
        (pause(capability="emulator"), "It ends with: qgjob queue resume --capability emulator"),
    ],
)
def test_a_pause_says_who_made_it_and_how_it_ends(what: PauseView, says: str) -> None:
    told = standstill([JOB], overview(pause("other"), what), SLOTS)
    assert told is not None
    assert says in told


@pytest.mark.parametrize("what", [pause("other"), pause(capability="ios"), pause("acme", "any")])
def test_a_pause_of_others_is_none_of_ours(what: PauseView) -> None:
    assert standstill([JOB], overview(what), SLOTS) is None


def test_a_pause_of_some_of_the_jobs_is_not_told() -> None:
    free = view(job_id="j_2", org_id="acme", app_version_id="v1", requires=())
    assert standstill([JOB, free], overview(pause(capability="emulator")), SLOTS) is None


def test_slots_that_are_all_held_back_are_told() -> None:
    others = [slot("s2", "idle", "ios"), slot("s3", "idle", "emulator")]
    told = standstill([JOB], overview(), [SLOTS[1], *others])
    assert told == (
        "Nothing of it starts: all slots that could run it are held back: lab/s1 (draining). "
        "Who did it, and why: qgjob agents list"
    )
    many = [slot(f"s{number}", "paused", "android-14", "emulator") for number in range(5)]
    assert "lab/s2 (paused) and 2 more." in (standstill([JOB], overview(), many) or "")


def test_jobs_that_nothing_could_ever_run_are_not_said_to_be_held() -> None:
    assert standstill([JOB], overview(), [slot("s2", "paused", "ios")]) is None


def test_a_build_that_is_held_is_told() -> None:
    hold = BuildHold(org_id="acme", app_version_id="v1", why="it failed on 3 slots", since=1.0, until=61.0)
    told = standstill([JOB], Overview(at=1.0, builds_held=(hold,)), SLOTS)
    assert (
        told
        == "Nothing of it starts until 1970-01-01T00:01:01.000Z: it failed on 3 slots. More: qgjob explain j_1"
    )
