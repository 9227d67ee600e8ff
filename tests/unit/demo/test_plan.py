"""The plan fits the samples, and the samples are shipped."""

from __future__ import annotations

import tomllib
from collections import Counter
from itertools import pairwise
from pathlib import Path

from qgjob.demo.plan import samples_folder, shop_plan

ROOT = Path(__file__).parents[3]


def test_thirty_tests_of_each_of_three_builds() -> None:
    plan = shop_plan()
    assert Counter(push.version for push in plan.pushes for _ in push.tests) == dict.fromkeys(
        plan.versions, 30
    )
    assert len(plan.versions) == 3
    assert len(plan.tests) == 30
    assert {path.name for path in (plan.root / "tests").glob("test_*.py")} == {
        test.removeprefix("tests/") for test in plan.tests
    }, "a test that no push names"


def test_what_is_to_fail_is_there() -> None:
    plan = shop_plan()
    assert {version for version, _ in plan.broken} == {plan.versions[-1]}
    assert {test for _, test in plan.broken} <= set(plan.tests)


def test_pushes_of_builds_lie_between_each_other_with_mixed_priorities() -> None:
    pushes = shop_plan().pushes
    assert all(one.version != other.version for one, other in pairwise(pushes))
    assert len({push.priority for push in pushes}) > 3


def test_every_build_can_be_started() -> None:
    plan = shop_plan()
    for version in plan.versions:
        assert (plan.build(version) / "qgjob-app.json").is_file()


def test_the_samples_are_in_the_wheel() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["samples/shop"] == "qgjob/samples/shop"
    assert samples_folder() == ROOT / "samples"
