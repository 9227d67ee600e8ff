"""Figures, and every way in which a demo may not go as designed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qgjob.demo import summary
from qgjob.demo.report import Report, make_report
from tests.unit.demo.things import BROKEN, World, small_plan


def report_on(world: World, *, slots: int = 2) -> Report:
    lines = {job.job_id: "AssertionError: 1 != 2" for job in world.jobs}
    return make_report(world.plan, world.record, lines, slots=slots, now=200.0)


def test_as_designed() -> None:
    world = World()
    world.end_all()
    # On one slot first come changes the build for every job: a1 b1 a2 b2.
    report = report_on(world, slots=1)
    assert report.ok, report.differences
    total = report.total
    assert (total.jobs, total.passed, total.failed, total.other) == (4, 3, 1, 0)
    assert (total.installs, total.installs_first_come) == (2, 4)
    assert [(build.version, build.installs) for build in report.builds] == [("v1", 1), ("v2", 1)]
    assert [(failure.version, failure.test) for failure in report.failures] == [BROKEN]
    assert report.seconds == pytest.approx(6.0)  # from 100 to 106
    assert report.install_s == pytest.approx(1.0)


def test_the_replay_is_of_these_jobs_and_their_own_durations() -> None:
    world = World()
    world.end_all()
    # 2 + 2 + 2 + 2 seconds of tests and four installs of 1 s, in a row from 100 on.
    assert report_on(world, slots=1).seconds_first_come == pytest.approx(12.0)


def _one_is_left(world: World) -> None:
    world.end(world.jobs[0], "s0", 101.0, 104.0, "passed", install_s=1.0)
    world.start(world.jobs[1], "s1", 101.0)


def _two_results(world: World) -> None:
    world.end_all()
    world.end(world.jobs[0], "s0", 101.0, 104.0, "passed")


WAYS: list[tuple[Callable[[World], object], str]] = [
    (lambda _: None, "4 jobs have not ended"),
    (lambda world: world.end_all(v1_a="failed"), "tests/a.py of v1 failed instead of passed"),
    (lambda world: world.end_all(v2_b="passed"), "tests/b.py of v2 passed instead of failed"),
    (lambda world: world.end_all(v2_a="errored"), "tests/a.py of v2 errored instead of passed"),
    (_one_is_left, "3 jobs have not ended, tests/a.py of v2 among them"),
    (_two_results, "1 jobs have more than one result"),
    (
        lambda world: world.end_all(install_always=True),
        "4 installs were made; first come, first served needs 4",
    ),
]


@pytest.mark.parametrize(("happens", "says"), WAYS, ids=[says for _, says in WAYS])
def test_what_is_different_is_said(happens: Callable[[World], object], says: str) -> None:
    world = World()
    happens(world)
    report = report_on(world, slots=1)
    assert not report.ok
    assert says in " ".join(report.differences)
    assert json.loads(json.dumps(report.to_json()))["differences"] == list(report.differences)


@pytest.mark.parametrize(("tests", "too_many"), [(3, False), (4, True)])
def test_on_four_slots_installs_are_bounded_by_slots_and_builds(tests: int, *, too_many: bool) -> None:
    world = World(small_plan(tests))
    world.end_all(install_always=True)
    said = any("are enough for 4 slots" in difference for difference in report_on(world, slots=4).differences)
    assert said == too_many, "6 are within 4 + 2, 8 are not"


def test_the_table_adds_up() -> None:
    world = World()
    world.end_all()
    columns, rows = summary.table(report_on(world, slots=1))
    assert columns == ["", "v1", "v2", "all"]
    for name, *cells in rows:
        numbers = [int(cell) for cell in cells]
        assert sum(numbers[:-1]) == numbers[-1], name


def test_what_was_found_names_the_assertion() -> None:
    world = World()
    world.end_all()
    text = "\n".join(summary.failure_lines(report_on(world)))
    assert "v2 has a bug" in text
    assert "tests/b.py" in text
    assert "AssertionError: 1 != 2" in text


def test_next_steps_are_short_from_where_one_is() -> None:
    plan = World().plan
    inside = " ".join(command for command, _ in summary.next_steps(plan, plan.root.parent))
    assert "--test nowhere/tests" in inside
    elsewhere = " ".join(command for command, _ in summary.next_steps(plan, Path("/some/where")))
    assert "--test /nowhere/tests" in elsewhere


def test_the_program_is_named_so_that_the_line_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "bin" / "qgjob"
    own.parent.mkdir()
    own.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(own.with_name("python")))
    monkeypatch.setenv("PATH", "/nowhere")
    assert summary.own_program(tmp_path) == "bin/qgjob"
    monkeypatch.setenv("PATH", str(own.parent))
    assert summary.own_program(tmp_path) == "qgjob"
