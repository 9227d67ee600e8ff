from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml, xunit2

from bus_schemas.cases import CaseRecord
from bus_schemas.events import Attempt, EndState, FileResult
from bus_schemas.queries import JobView, RunView
from qgjob.report.junit import junit_xml
from qgjob.report.model import Reports
from tests.support.junit_format import problems
from tests.support.views import NOW, view


def parse(*jobs: object, name: str = "nightly") -> ET.Element:
    return ET.fromstring(junit_xml(list(jobs), name=name))  # pyright: ignore[reportArgumentType]


def attempt(number: int, outcome: str, **more: object) -> Attempt:
    return Attempt.model_validate(
        {"number": number, "outcome": outcome, "started_at": NOW, "duration_s": 1.5, **more}
    )


@pytest.mark.parametrize(
    ("state", "child"),
    [
        ("passed", None),
        ("failed", "failure"),
        ("timed_out", "failure"),
        ("errored", "error"),
        ("cancelled", "error"),
        ("expired", "error"),
        ("running", "skipped"),
    ],
)
def test_each_state_has_its_element_and_count(state: str, child: str | None):
    root = parse(view(state=state))
    case = root.find("testsuite/testcase")
    assert case is not None
    found = {element.tag for element in case} - {"system-out"}
    assert found == ({child} if child else set())
    suite = root.find("testsuite")
    assert suite is not None
    counts = {"failure": suite.get("failures"), "error": suite.get("errors"), "skipped": suite.get("skipped")}
    assert counts == {kind: str(int(kind == child)) for kind in counts}
    assert suite.get("tests") == "1"


def test_earlier_attempts_are_told_apart():
    flaky = view(state="passed", attempts=(attempt(1, "failed", reason="exit_code"), attempt(2, "passed")))
    failed = view(state="failed", attempts=(attempt(1, "errored"), attempt(2, "failed", exit_code=1)))
    root = parse(flaky, failed)
    tags = [[element.tag for element in case] for case in root.iter("testcase")]
    assert tags == [["flakyFailure", "system-out"], ["failure", "rerunError", "system-out"]]


@pytest.mark.parametrize("reports", [None, {}])
def test_a_test_has_the_same_name_in_every_build_and_run(reports: dict[str, Reports] | None):
    """By suite, class and name CI systems find it in the reports of earlier builds."""

    def names(build: str, run_id: str) -> set[tuple[str | None, ...]]:
        job = view(state="failed", app_version_id=build, run_id=run_id, job_id=f"j_{run_id}")
        run = RunView(run_id=run_id, org_id="acme", state="failed", size=1)
        root = ET.fromstring(junit_xml([job], name=None, run=run, reports=reports))
        return {
            (suite.get("name"), case.get("classname"), case.get("name"))
            for suite in root.iter("testsuite")
            for case in suite.iter("testcase")
        }

    assert names("1f2a9c", "r_1") == names("9b04de", "r_2")


def test_the_file_is_read_by_the_usual_reader():
    xml = JUnitXml.fromstring(junit_xml([view(state="failed", message="no"), view(state="passed")], name="n"))
    assert (xml.tests, xml.failures, xml.errors) == (2, 1, 0)


@given(st.text(), st.text(), st.text(min_size=1), st.sampled_from(get_args(EndState)))
def test_whatever_the_texts_hold_it_is_well_formed(message: str, name: str, test: str, state: str):
    job = view(
        state=state,
        test=test,
        message=message[:4000],
        attempts=(attempt(1, "failed", message=message[:4000]), attempt(2, state, message=message[:4000])),
    )
    case = CaseRecord(name="c", outcome="failed", message=message[:4000])
    document = junit_xml([job], name=name, logs={"j_1": message}, cases={"j_1": [case]})
    assert problems(junit_xml([job], name=name, logs={"j_1": message})) == []
    assert problems(document) == []
    assert len(list(ET.fromstring(document).iter("testcase"))) == 1


def test_escapes_and_null_bytes_are_replaced():
    root = parse(view(state="failed", message="\x1b[31mred\x00]]>&<"))
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "\ufffd[31mred\ufffd]]>&<"


def shard(state: str, *attempts: Attempt) -> JobView:
    return view(state=state, test="shard 1 of 2", tests=("a.py", "b.py", "c.py"), attempts=attempts)


def files(**outcomes: str) -> tuple[FileResult, ...]:
    return tuple(
        FileResult.model_validate({"file": f"{name}.py", "outcome": outcome, "duration_s": 2})
        for name, outcome in outcomes.items()
    )


def told(root: ET.Element) -> dict[str | None, list[str]]:
    return {case.get("name"): [child.tag for child in case][:-1] for case in root.iter("testcase")}


def test_the_files_of_a_shard_are_cases_of_their_own():
    first = attempt(1, "failed", files=files(a="failed", b="passed"))
    again = attempt(2, "failed", files=files(a="passed", b="failed"))
    root = parse(shard("failed", first, again))
    assert told(root) == {"a.py": ["flakyFailure"], "b.py": ["failure"], "c.py": ["skipped"]}
    suite = root.find("testsuite")
    assert suite is not None
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")] == [
        *("3", "1", "0", "1", "4.000")
    ]


def test_what_went_wrong_with_a_shard_as_a_whole_is_a_case_too():
    timed_out = shard("timed_out", attempt(1, "timed_out", files=files(a="passed")))
    assert told(parse(timed_out))["shard 1 of 2 (3 files)"] == ["failure"]
    assert told(parse(shard("errored", attempt(1, "errored")))) == {"shard 1 of 2 (3 files)": ["error"]}


def failure(document: bytes) -> tuple[str, str]:
    assert problems(document) == []
    found = ET.fromstring(document).find(".//failure")
    assert found is not None
    return found.get("message") or "", found.text or ""


def test_a_failure_that_no_case_tells_of_shows_the_end_of_the_output():
    last = attempt(
        1, "failed", agent="lab", slot="s0", reason="test_failed", message="exit code 3", exit_code=3
    )
    job = view(state="failed", message="exit code 3", attempts=(last,))
    output = (
        "".join(f"line {number}\n" for number in range(100)) + "10%\r100%\r\n\x1b[31mno <button>\x1b[0m\n\n"
    )
    message, text = failure(junit_xml([job], name="n", logs={"j_1": output}))
    first, empty, *shown = text.splitlines()
    assert (message, first, empty) == ("exit code 3", "attempt 1: failed on lab/s0: exit code 3", "")
    assert (len(shown), shown[0], shown[-2:]) == (40, "line 62", ["100%", "no <button>"])


def test_what_a_case_says_goes_before_the_output():
    case = CaseRecord(
        name="buys", suite="shop", outcome="failed", message="no button\nat x", file="a.py", line=3
    )
    passed = CaseRecord(name="looks", outcome="passed", file="a.py")
    last = attempt(1, "failed", message="1 failed, 1 passed", exit_code=1)
    told = junit_xml(
        [view(state="failed", attempts=(last,))],
        name="n",
        cases={"j_1": [passed, case]},
        logs={"j_1": "dots"},
    )
    assert failure(told)[1] == (
        "attempt 1: failed: 1 failed, 1 passed (exit code 1)\n\nshop › buys (a.py:3)\n  no button\n  at x"
    )
    job = shard("failed", attempt(1, "failed", files=files(a="failed", b="passed", c="passed")))
    message, text = failure(junit_xml([job], name="n", cases={"j_1": [passed, case]}))
    assert message == "shop › buys (a.py:3): no button"
    assert text == "shop › buys (a.py:3)\n  no button\n  at x"


def test_a_file_of_which_nothing_was_told_is_no_pass_unless_it_was_left_out_for_want_of_room():
    whole = attempt(1, "passed", files=files(a="passed", b="passed"))
    assert told(parse(shard("passed", whole)))["c.py"] == ["skipped"]
    cut = attempt(1, "passed", files=files(a="passed"), files_left_out=2)
    assert told(parse(shard("passed", cut)))["c.py"] == []


def test_the_suite_says_what_was_tested_and_the_cases_what_they_left():
    artifact = {"name": "shots/a.png", "blob": {"digest": "0" * 64, "size": 1}}
    job = view(state="failed", attempts=(attempt(1, "failed", artifacts=[artifact]),))
    run = RunView(
        run_id="r_1", org_id="acme", state="failed", size=1, meta={"branch": "main", "url": "https://ci/1"}
    )
    document = junit_xml([job], name="n", run=run)
    assert problems(document) == []
    root = ET.fromstring(document)
    properties = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert properties["app_version_id"] == "v1"
    assert properties["meta.branch"] == "main"
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("id"), suite.get("url")) == ("r_1", "https://ci/1")
    assert "left shots/a.png: qgjob artifacts j_1" in (root.findtext(".//system-out") or "")
    there = ET.fromstring(junit_xml([job], name="n", attachments={"j_1": ["left/j_1/1/shots/a.png"]}))
    assert (there.findtext(".//system-out") or "").endswith("[[ATTACHMENT|left/j_1/1/shots/a.png]]")


def test_the_usual_reader_tells_attempts_apart():
    flaky = view(state="passed", attempts=(attempt(1, "failed"), attempt(2, "passed")))
    failed = view(state="failed", attempts=(attempt(1, "errored"), attempt(2, "failed")))
    document = junit_xml(
        [flaky, failed, shard("passed", attempt(1, "passed", files=files(a="passed")))], name="n"
    )
    assert problems(document) == []
    suites: Any = xunit2.JUnitXml.fromstring(document)
    (suite,) = suites
    first, second, *_ = suite
    assert [result.stack_trace for result in first.flaky_failures()] == ["attempt 1: failed"]
    assert [result.stack_trace for result in second.rerun_errors()] == ["attempt 1: errored"]
    assert first.is_flaky
    assert {prop.name for prop in suite.properties()} == {"run_id", "org_id", "app_version_id"}


def test_what_the_schema_does_not_have_is_found():
    """The check itself: each of these is refused by the schema that Jenkins uses."""
    for wrong in (
        "<testsuite name='a' tests='1' failures='0'/>",
        "<testsuites skipped='1'/>",
        "<testsuite name='a' tests='1' failures='0' errors='0'><testcase name='b' file='c'/></testsuite>",
        "<testsuites><testcase name='a'/></testsuites>",
        "<testsuites time='1e3'/>",
        "<testcase name='b'><rerunError message='no type'/></testcase>",
    ):
        assert problems(wrong.encode()), wrong
