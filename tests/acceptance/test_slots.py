"""Slots that are held, and why a job waits, through the command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Qgjob
from tests.support.wait import wait_for


@pytest.fixture
def held(qgjob: Qgjob) -> Iterator[list[str]]:
    """Every slot is paused, and resumed afterwards."""
    agents = [agent["agent"] for agent in qgjob("agents", "list", "--json").json["agents"]]
    for agent in agents:
        done = qgjob("agents", "pause", agent, "--note", "lab moves", "--for", "1h")
        assert done.code == 0, done.err
        assert f"{agent}/s0 is paused until " in done.out
    yield agents
    for agent in agents:
        assert qgjob("agents", "resume", agent).code == 0


async def test_paused_slots_are_shown_and_explain_names_them(qgjob: Qgjob, held: list[str]):
    qgjob.file("t.py")
    job_id = qgjob("submit", "--test", "t.py", "--json", "--", "true").json["jobs"][0]["job_id"]
    await wait_for(lambda: qgjob("agents", "list").out.count(": lab moves") == 4, what="the agents' word")
    assert qgjob("agents", "list", "--json").json["holds"][0]["note"] == "lab moves"
    told = qgjob("explain", job_id)
    assert told.code == 0, told.err
    assert "none of them takes anything" in told.out
    assert "lab moves" in told.out
    assert f"qgjob agents resume {held[0]}\n" in told.out, "the slot cannot be resumed by itself"
    many = qgjob("submit", "--test", "t.py", "--repeat", "2", "--json", "--", "true").json
    of_run = qgjob("explain", many["run_id"])
    assert many["jobs"][0]["job_id"] in of_run.out
    assert f"2 of the 2 jobs of {many['run_id']} wait; this is the first" in of_run.err
    document = qgjob("explain", job_id, "--json").json
    assert document["state"] == "queued"
    assert {row["kind"] for row in document["slots"]} == {"held"}
    assert sum(row["count"] for row in document["slots"]) == document["slots_total"] == 4
    assert "4 held" in qgjob("queue", "status").out
    for agent in held:
        assert qgjob("agents", "resume", agent).code == 0
    assert qgjob("wait", job_id).code == 0
    # That it was released may be told after its end.
    await wait_for(lambda: "It went there because: " in qgjob("explain", job_id).out)


def test_agents_are_listed_by_name_and_slot_and_resumed_with_a_note(qgjob: Qgjob, held: list[str]):
    one = qgjob("agents", "list", held[0], "--json").json
    assert [agent["agent"] for agent in one["agents"]] == held[:1]
    assert {hold["name"] for hold in one["holds"]} == {held[0]}
    listed = qgjob("agents", "list", f"{held[0]}/s0")
    assert (listed.code, listed.out.count("/s")) == (0, 1)
    assert qgjob("agents", "list", f"{held[0]}/s9").code == 6
    absent = qgjob("agents", "list", "nobody")
    assert (absent.code, absent.out) == (6, "")
    assert "There is no agent or slot 'nobody'." in absent.err
    resumed = qgjob("agents", "resume", held[0], "--note", "moved")
    assert resumed.code == 0, resumed.err
    assert f"resumed {held[0]}/s0" in resumed.out


def test_what_is_wrong_gets_a_sentence_and_its_exit_code(qgjob: Qgjob):
    nobody = qgjob("agents", "pause", "nobody")
    assert nobody.code == 6
    assert "There is no agent or slot 'nobody'." in nobody.err
    assert qgjob("agents", "reserve", "nobody/s0").code == 2
    assert qgjob("agents", "reserve", "nobody/s0", "--for", "soon").code == 2
    assert qgjob("explain", "j_" + "0" * 26).code == 6
    assert qgjob("explain", "r_" + "0" * 26).code == 6
    assert qgjob("app", "resume", "v404").code == 6
    unheld = qgjob("agents", "list", "--json").json["agents"][0]["agent"]
    nothing = qgjob("agents", "resume", unheld)
    assert nothing.code == 0
    assert "was not held" in nothing.err
