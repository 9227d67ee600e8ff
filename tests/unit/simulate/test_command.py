"""`qgjob simulate` as users and scripts call it."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pytest

from qgjob.cli.main import run
from qgjob.simulate.generate import CiShape, LabShape, ci_trace, lab_trace
from qgjob.simulate.trace import read_trace, write_trace

DOCUMENTED = {"jobs", "slots", "installs", "makespan_s", "makespan_lower_bound_s", "wait_s"}


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "t.csv"
    write_trace(ci_trace(CiShape(jobs=300, slots=6, seed=4)), path)
    return str(path)


def said(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    assert run(["simulate", *args]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def document(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    return json.loads(said(capsys, *args, "--json"))


def test_one_policy_in_one_lab_is_the_documented_document(
    capsys: pytest.CaptureFixture[str], trace: str
) -> None:
    found = document(capsys, trace, "--slots", "6", "--install-seconds", "30")
    assert set(found) >= DOCUMENTED
    assert (found["jobs"], found["slots"]) == (300, 6)
    assert set(found["wait_s"]) == {"high", "medium", "low", "all"}
    assert set(found["wait_s"]["all"]) == {"mean", "p50", "p95", "max"}
    assert found["makespan_s"] >= found["makespan_lower_bound_s"] > 0
    assert document(capsys, trace, "--slots", "6", "--install-seconds", "30") == found


def test_policies_and_labs_are_compared(capsys: pytest.CaptureFixture[str], trace: str) -> None:
    found = document(capsys, trace, "--slots", "6,8", "--policy", "qgjob,fifo", "--policy", "sticky")
    shown = [(one["lab"], one["policy"]) for one in found["results"]]
    assert shown == [(f"{n} slots", name) for n in (6, 8) for name in ("qgjob", "fifo", "sticky")]
    assert all(set(one) >= DOCUMENTED for one in found["results"])
    waits = {key: one["wait_s"]["all"]["mean"] for key, one in zip(shown, found["results"], strict=True)}
    assert waits["8 slots", "fifo"] < waits["6 slots", "fifo"]
    assert [text.partition(":")[0] for text in found["findings"]] == [
        "8 slots (qgjob)",
        "8 slots (fifo)",
        "8 slots (sticky)",
        "qgjob against fifo, 6 slots",
        "qgjob against sticky, 6 slots",
    ]


def test_nothing_is_said_of_urgent_jobs_where_there_are_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for priority, said in (("5", False), ("high", True)):
        trace = tmp_path / f"{priority}.csv"
        trace.write_text(f"arrival_s,app_version_id,test,duration_s,priority\n0,v1,t,9,{priority}\n")
        (finding,) = document(capsys, str(trace), "--slots", "1,2")["findings"]
        assert ("urgent" in finding) is said


def test_seeds_give_means_and_their_spread(capsys: pytest.CaptureFixture[str], trace: str) -> None:
    common = ("--generate", "100", "--slots", "6", "--policy", "lava")
    each = [document(capsys, *common, "--seed", str(seed)) for seed in (3, 4, 5)]
    found = document(capsys, *common, "--seed", "3", "--seeds", "3")
    assert found["seeds"] == 3
    for figure in ("installs", "makespan_s"):
        values = [one[figure] for one in each]
        assert found[figure] == pytest.approx(fmean(values), abs=0.001)
        assert found["spread"][figure] == pytest.approx(pstdev(values), abs=0.001)
    assert found["spread"]["makespan_s"] > 0
    assert "±" in said(capsys, trace, "--seeds", "2")


def test_people_see_tables_and_a_sentence(capsys: pytest.CaptureFixture[str], trace: str) -> None:
    text = said(capsys, trace, "--slots", "6", "--add", "2:emulator")
    assert text.startswith("300 jobs of ")
    assert "8 slots, 2 more with emulator (qgjob): a job waits " in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("high", "all"))] == [
        "high",
        "high",
        "all",
        "all",
    ]


def test_a_trace_can_be_made_and_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    made = document(capsys, "--generate", "200", "--slots", "5", "--save", str(kept))
    assert len(read_trace(kept)) == 200
    assert document(capsys, str(kept), "--slots", "5") == made


def test_a_labels_file_says_which_slots_there_are(
    capsys: pytest.CaptureFixture[str], trace: str, tmp_path: Path
) -> None:
    labels = tmp_path / "lab.toml"
    labels.write_text('[[slots]]\nlabels = ["emulator"]\ncount = 4\ninstall_seconds = 9\n')
    assert document(capsys, trace, "--labels", str(labels))["slots"] == 4
    assert "give one of them" in said(capsys, trace, "--labels", str(labels), "--slots", "3", code=2)


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("--slots", "0"), "--slots '0'"),
        (("--slots", "4,x"), "not a number of slots"),
        (("--slots", "4,5", "--add", "1"), "--add changes one lab"),
        (("--policy", "qgjob,best"), "'best' is unknown: there are qgjob"),
        (("--policy", ","), "names no policy"),
        (("--plot", "p.gif"), "must end in .svg or .png"),
        (("--plot", "/nowhere/p.png"), "there is no folder"),
        (("--generate", "10"), "Name a trace, or"),
        (("--seeds", "100", "--slots", "1,2,3,4,5,6"), "more than 500 simulations"),
    ],
)
def test_wrong_use_gets_a_sentence_and_code_2(
    capsys: pytest.CaptureFixture[str], trace: str, args: tuple[str, ...], what: str
) -> None:
    assert what in said(capsys, trace, *args, code=2)


def test_without_any_trace_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--generate N" in said(capsys, code=2)


def test_a_small_labs_rush_has_every_build_and_the_mean_it_was_asked_for() -> None:
    jobs = lab_trace(LabShape(jobs=400, builds=12, mean_s=0.05, span=0, seed=3))
    assert len({job.app_version_id for job in jobs}) == 12
    assert sum(job.duration_s for job in jobs) / 400 == pytest.approx(0.05, rel=0.01)
    assert {job.arrival_s for job in jobs} == {0.0}
    assert lab_trace(LabShape(seed=3)) != lab_trace(LabShape(seed=4))
