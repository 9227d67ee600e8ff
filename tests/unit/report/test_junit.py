from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

from bus_schemas.events import END_STATES, Attempt
from qgjob.report.junit import junit_xml
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


def test_the_file_is_read_by_the_usual_reader():
    xml = JUnitXml.fromstring(junit_xml([view(state="failed", message="no"), view(state="passed")], name="n"))
    assert (xml.tests, xml.failures, xml.errors) == (2, 1, 0)


@given(st.text(), st.text(), st.text(min_size=1), st.sampled_from(END_STATES))
def test_whatever_the_texts_hold_it_is_well_formed(message: str, name: str, test: str, state: str):
    job = view(
        state=state,
        test=test,
        message=message[:4000],
        attempts=(attempt(1, "failed", message=message[:4000]), attempt(2, state, message=message[:4000])),
    )
    root = parse(job, name=name)
    assert len(list(root.iter("testcase"))) == 1


def test_escapes_and_null_bytes_are_replaced():
    root = parse(view(state="failed", message="\x1b[31mred\x00]]>&<"))
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "\ufffd[31mred\ufffd]]>&<"
