"""`--junit-cases`: the cases of the tests' own reports in the JUnit file, wherever one is written."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

import qgjob as package
from tests.acceptance.conftest import Qgjob
from tests.support.junit_format import problems

FLAKY = """
import pathlib
def test_looks(): pass
def test_adds():
    seen = pathlib.Path({seen!r})
    before = seen.exists()
    seen.touch()
    assert before, "no button"
"""
CRASHES = """
import os
junit = os.environ["QGJOB_JUNIT_FILE"]
open(junit, "w").write('<testsuite><testcase classname="own" name="passes"/></testsuite>')
os.abort()
"""


def told(document: bytes) -> dict[str | None, dict[str, list[str]]]:
    assert problems(document) == []
    return {
        suite.get("name"): {
            f"{case.get('classname')}:{case.get('name')}": [c.tag for c in case if c.tag != "system-out"]
            for case in suite.iter("testcase")
        }
        for suite in ET.fromstring(document).iter("testsuite")
    }


def test_the_cases_of_the_reports_stand_in_the_junit_file(
    qgjob: Qgjob, script: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
):
    seen = qgjob.folder / "seen"
    script("t/test_cart.py", FLAKY.format(seen=str(seen)))
    script("t/crashes.py", CRASHES)
    wanted = ("--junit", "r.xml", "--junit-cases")
    tests = ("--test", "t/test_cart.py", "--test", "t/crashes.py")
    done = qgjob("submit", *tests, "--retries", "1", "--wait", "--json", *wanted)
    assert done.code == 10, done.err
    run_id = done.json["run_id"]
    org = qgjob.env["QGJOB_ORG_ID"]
    cases = {
        "t/test_cart.py": {"t.test_cart:test_looks": [], "t.test_cart:test_adds": ["flakyFailure"]},
        "t/crashes.py": {
            "own:passes [t/crashes.py]": [],
            f"{org}:t/crashes.py": ["failure", "rerunFailure"],
        },
    }
    assert told((qgjob.folder / "r.xml").read_bytes()) == cases
    (qgjob.folder / "r.xml").unlink()
    assert qgjob("wait", run_id, *wanted).code == 10
    assert told((qgjob.folder / "r.xml").read_bytes()) == cases
    assert told(qgjob("report", run_id, "--junit-cases").out.encode()) == cases
    in_ci = qgjob("report", run_id, "--format", "github", env={"QGJOB_JUNIT_CASES": "1"})
    assert "::error " in in_ci.out
    for name, value in qgjob.env.items():
        monkeypatch.setenv(name, value)
    with package.connect() as lab:
        assert told(lab.run(run_id).junit(cases=True)) == cases
        assert list(told(lab.run(run_id).junit("mine"))) == ["mine"]
    (qgjob.folder / "qgjob.toml").write_text("junit-cases = true\n")
    script("t/test_fine.py", "def test_it(): pass\n")
    again = qgjob("submit", "--test", "t/test_fine.py", "--wait", "--junit", "r.xml")
    assert again.code == 0, again.err
    assert told((qgjob.folder / "r.xml").read_bytes()) == {"t/test_fine.py": {"t.test_fine:test_it": []}}
    assert qgjob("submit", "--test", "t/test_fine.py", "--detach").code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("submit", "--test", "a.py", "--wait", "--junit-cases"), "--junit-cases needs --junit FILE"),
        (("submit", "--test", "a.py", "--junit-cases"), "--junit-cases needs --wait"),
        (("wait", "r_1", "--junit-cases"), "--junit-cases needs --junit FILE"),
        (("report", "r_1", "--junit-cases", "--format", "html"), "--junit-cases goes with --format junit"),
    ],
)
def test_where_no_junit_is_written_the_option_is_refused(lonely: Qgjob, words: tuple[str, ...], why: str):
    done = (
        lonely(*words, "--org-id", "a", "--app-version-id", "1") if words[0] == "submit" else lonely(*words)
    )
    assert done.code == 2
    assert why in done.err
