from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.cases import CaseRecord, CaseReport, CaseTry
from bus_schemas.events import Attempt, FileResult
from bus_schemas.queries import JobView
from qgjob.report import junit_cases
from qgjob.report.junit import junit_xml
from tests.support.junit_format import problems
from tests.support.views import view
from tests.unit.report.test_junit import attempt

Cases = Sequence[CaseRecord]


def case(name: str, outcome: str = "passed", message: str | None = None, **more: object) -> CaseRecord:
    values = {"suite": "tests.a", "file": "tests/a.py", "duration_s": 0.5, **more}
    return CaseRecord.model_validate({"name": name, "outcome": outcome, "message": message, **values})


def report(*cases: CaseRecord, left_out: int = 0, number: int = 1) -> CaseReport:
    return CaseReport(job_id="j_1", attempt=number, runner="pytest", cases=cases, left_out=left_out)


def failed(number: int, **more: object) -> Attempt:
    return attempt(number, "failed", reason="test_failed", **more)


def written(*jobs: JobView, reports: Mapping[str, Mapping[int, CaseReport]], **more: object) -> ET.Element:
    document = junit_xml(list(jobs), name="nightly", reports=reports, **more)  # pyright: ignore[reportArgumentType]
    assert problems(document) == []
    root = ET.fromstring(document)
    for told in (root, *root.iter("testsuite")):
        cases = list(told.iter("testcase"))
        for kind in ("failure", "error", "skipped"):
            count = told.get({"failure": "failures", "error": "errors"}.get(kind, kind))
            assert count in {None, str(sum(case.find(kind) is not None for case in cases))}
        assert told.get("tests") == str(len(cases))
    return root


def told(root: ET.Element) -> dict[str | None, dict[str, list[str]]]:
    """By suite and name: what stands in each case beside its output."""
    return {
        suite.get("name"): {
            f"{case.get('classname')}:{case.get('name')}": [c.tag for c in case if c.tag != "system-out"]
            for case in suite.iter("testcase")
        }
        for suite in root.iter("testsuite")
    }


def of_one(job: JobView, *reports: CaseReport) -> dict[str, list[str]]:
    (suite,) = told(written(job, reports={"j_1": {one.attempt: one for one in reports}})).values()
    return suite


def test_each_file_is_a_suite_of_the_cases_of_its_report():
    jobs = [
        view(state="failed", attempts=(failed(1),)),
        view(job_id="j_2", test="e2e/b.spec.ts", state="passed", attempts=(attempt(1, "passed"),)),
        view(job_id="j_3", test="c.sh", state="passed", attempts=(attempt(1, "passed"),)),
    ]
    reports = {
        "j_1": {
            1: report(
                case("adds"), case("buys", "failed", "no button\nat x", line=3), case("later", "skipped")
            )
        },
        "j_2": {1: report(case("cart › looks", suite="b.spec.ts", file="e2e/b.spec.ts"))},
    }
    root = written(*jobs, reports=reports)
    assert told(root) == {
        "tests/a.py": {
            "tests.a:adds": [],
            "tests.a:buys": ["failure"],
            "tests.a:later": ["skipped"],
        },
        "e2e/b.spec.ts": {"b.spec.ts:cart › looks [e2e/b.spec.ts]": []},
        "c.sh": {"acme:c.sh": []},
    }
    assert [root.get(name) for name in ("name", "tests", "failures", "errors", "time")] == [
        *("nightly", "5", "1", "0", "3.500")
    ]
    failure = root.find(".//failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("no button", "tests/a.py:3\nno button\nat x")
    suite = root.find("testsuite")
    assert suite is not None
    assert suite.get("id") == "j_1"
    assert {p.get("name") for p in suite.iter("property")} == {"run_id", "org_id", "app_version_id"}


@pytest.mark.parametrize(
    ("state", "reason", "tag"),
    [
        ("timed_out", "timed_out", "failure"),
        ("errored", "device_lost", "error"),
        ("cancelled", "cancelled", "error"),
        ("failed", "disk_limit", "failure"),
        ("queued", None, "skipped"),
    ],
)
def test_what_ended_otherwise_than_its_cases_has_a_case_of_its_own(state: str, reason: str | None, tag: str):
    outcome = "failed" if state == "queued" else state
    job = view(state=state, reason=reason, attempts=(attempt(1, outcome, reason=reason or "test_failed"),))
    for cases in ((case("adds"),), (case("adds"), case("buys", "failed", "no"))):
        assert of_one(job, report(*cases))["acme:tests/a.py"] == [tag]


def test_a_failure_that_is_none_of_the_cases_is_not_lost():
    job = view(state="failed", message="exit code 139", attempts=(failed(1, exit_code=139),))
    root = written(job, reports={"j_1": {1: report(case("adds"))}}, logs={"j_1": "Segmentation fault"})
    assert told(root) == {"tests/a.py": {"tests.a:adds": [], "acme:tests/a.py": ["failure"]}}
    failure = root.find(".//failure")
    assert failure is not None
    assert (failure.text or "").endswith("Segmentation fault")
    assert root.get("time") == "1.500"  # the time of the cases is not counted twice


def test_a_case_that_failed_is_shown_though_the_file_passed():
    job = view(state="passed", attempts=(attempt(1, "passed"),))
    assert of_one(job, report(case("adds"), case("buys", "failed"))) == {
        "tests.a:adds": [],
        "tests.a:buys": ["failure"],
    }


def test_attempts_are_told_apart_case_by_case():
    first = report(case("a", "failed", "first"), case("b", "errored"), case("c"))
    again = report(case("a"), case("b", "failed", "again"), case("c"), number=2)
    root = written(
        view(state="failed", attempts=(failed(1), failed(2))), reports={"j_1": {1: first, 2: again}}
    )
    assert told(root) == {
        "tests/a.py": {
            "tests.a:a": ["flakyFailure"],
            "tests.a:b": ["failure", "rerunError"],
            "tests.a:c": [],
        }
    }
    flaky = root.find(".//flakyFailure")
    assert flaky is not None
    assert (flaky.get("message"), flaky.findtext("stackTrace")) == ("first", "attempt 1: failed\nfirst")


def test_the_tries_of_one_attempt_are_told_apart():
    tries = (CaseTry(outcome="failed", message="slow"), CaseTry(outcome="passed"))
    flaky = case("a", flaky=True, attempts=2, tries=tries)
    unknown = case("b", flaky=True, attempts=2)
    job = view(state="passed", attempts=(attempt(1, "passed"),))
    root = written(job, reports={"j_1": {1: report(flaky, unknown, case("c"))}})
    assert told(root)["tests/a.py"] == {
        "tests.a:a": ["flakyFailure"],
        "tests.a:b": ["flakyFailure"],
        "tests.a:c": [],
    }
    assert [one.text for one in root.iter("stackTrace")] == ["try 1: failed\nslow", "try 1: failed"]


def test_an_earlier_attempt_of_which_no_case_tells_is_told_by_the_file():
    attempts = (attempt(1, "errored", reason="device_lost"), failed(2), attempt(3, "passed"))
    job = view(state="passed", flaky=True, attempts=attempts)
    second = report(case("a", "failed"), number=2)
    assert of_one(job, second, report(case("a"), number=3)) == {
        "tests.a:a": ["flakyFailure"],
        "acme:tests/a.py": ["flakyError"],
    }
    renamed = report(case("b"), number=3)  # what failed was not run again
    assert of_one(job, second, renamed)["acme:tests/a.py"] == ["flakyError", "flakyFailure"]


@pytest.mark.parametrize(
    ("end", "first", "tag"),
    [
        (("timed_out", "timed_out"), case("a", "failed"), "flakyFailure"),
        (("errored", "device_lost"), case("a", flaky=True, attempts=2), "flakyError"),
        (("failed", "disk_limit"), case("a", "failed"), "flakyFailure"),
        (("failed", "test_failed"), case("a", flaky=True, attempts=2), "flakyFailure"),
    ],
)
def test_how_an_earlier_attempt_ended_is_told_whatever_its_cases_did(
    end: tuple[str, str], first: CaseRecord, tag: str
):
    attempts = (attempt(1, end[0], reason=end[1]), attempt(2, "passed"))
    job = view(state="passed", flaky=True, attempts=attempts)
    assert of_one(job, report(first), report(case("a"), number=2)) == {
        "tests.a:a": ["flakyFailure"],
        "acme:tests/a.py": [tag],
    }


def test_without_the_cases_of_its_last_attempt_a_file_is_one_case():
    job = view(state="timed_out", attempts=(failed(1), attempt(2, "timed_out")))
    assert of_one(job, report(case("a"))) == {"acme:tests/a.py": ["failure", "rerunFailure"]}
    assert of_one(job, report(number=2)) == {"acme:tests/a.py": ["failure", "rerunFailure"]}


def test_cases_that_readers_would_take_for_one_another_have_other_names():
    jobs = [
        view(job_id=f"j_{n}", test=test, variant=variant, state="passed", attempts=(attempt(1, "passed"),))
        for n, (test, variant) in enumerate((("a.js", None), ("b.js", None), ("c.js", "#1"), ("c.js", "#2")))
    ]
    twice = report(case("adds", suite="cart"), case("adds", suite="cart"))
    reports = {job.job_id: {1: twice} for job in jobs}
    names = [name for suite in told(written(*jobs, reports=reports)).values() for name in suite]
    assert names == [
        *("cart:adds [a.js]", "cart:adds [a.js] (2)"),
        *("cart:adds [b.js]", "cart:adds [b.js] (2)"),
        *("cart:adds [c.js] [#1]", "cart:adds [c.js] [#1] (2)"),
        *("cart:adds [c.js] [#2]", "cart:adds [c.js] [#2] (2)"),
    ]
    del reports["j_0"]  # a name is the same whatever other files told
    again = [name for suite in told(written(*jobs, reports=reports)).values() for name in suite]
    assert again == ["acme:a.js", *names[2:]]


@pytest.mark.parametrize(
    ("class_", "file", "name"),
    [
        ("tests.test_a", "tests/test_a.py", "x"),
        ("tests.test_a.TestCart", "tests/test_a.py", "x"),
        ("tests.test_ab", "tests/test_a.py", "x [tests/test_a.py]"),
        ("test_a", "tests/test_a.py", "x [tests/test_a.py]"),
        ("e2e/b.spec.ts", "e2e/b.spec.ts", "x"),
        ("[firefox] b.spec.ts", "b.spec.ts", "x"),
        ("b.spec.ts", "e2e/b.spec.ts", "x [e2e/b.spec.ts]"),
        ("", "a.sh", "x"),
    ],
)
def test_a_case_has_its_file_behind_its_name_where_the_class_does_not_tell_it(
    class_: str, file: str, name: str
):
    single = view(test=file, state="passed", attempts=(attempt(1, "passed"),))
    shard = single.model_copy(update={"test": "shard", "tests": (file, "other")})
    for job in (single, shard):
        root = written(job, reports={"j_1": {1: report(case("x", suite=class_, file=file))}})
        found = root.find("testsuite/testcase")
        assert found is not None
        assert found.get("name") == name


def test_the_files_of_a_shard_are_suites():
    results = tuple(
        FileResult.model_validate({"file": f"{name}.py", "outcome": outcome, "duration_s": 2})
        for name, outcome in (("a", "passed"), ("b", "failed"))
    )
    job = view(
        state="failed",
        test="shard 1 of 2",
        tests=("a.py", "b.py", "c.py"),
        variant="android-14",
        attempts=(failed(1, files=results),),
    )
    cases = report(
        case("x", suite="a", file="a.py"),
        case("y", "failed", file="/tmp/q/b.py"),
        case("z", file=None, suite="loose"),
    )
    assert told(written(job, reports={"j_1": {1: cases}})) == {
        "a.py [android-14]": {"a:x [android-14]": []},
        "b.py [android-14]": {"tests.a:y [b.py] [android-14]": ["failure"]},
        "shard 1 of 2 (3 files) [android-14]": {
            "acme:c.py [android-14]": ["skipped"],
            "loose:z [android-14]": [],
        },
    }
    timed_out = job.model_copy(update={"state": "timed_out", "reason": "timed_out"})
    root = written(timed_out, reports={"j_1": {1: cases}})
    shard = "shard 1 of 2 (3 files) [android-14]"
    assert told(root)[shard][f"acme:{shard}"] == ["failure"]


def test_a_file_that_failed_is_no_green_suite_where_its_failed_cases_are_not_stored():
    results = tuple(
        FileResult.model_validate({"file": f"{name}.py", "outcome": "failed", "duration_s": 2})
        for name in "ab"
    )
    job = view(state="failed", test="shard", tests=("a.py", "b.py"), attempts=(failed(1, files=results),))
    cases = report(case("x", "failed", suite="a", file="a.py"), case("y", suite="b", file="b.py"), left_out=2)
    root = written(job, reports={"j_1": {1: cases}})
    assert told(root) == {
        "a.py": {"a:x": ["failure"]},
        "b.py": {"b:y": [], "acme:b.py": ["failure"]},
    }
    assert root.get("time") == "2.500"  # the time of the cases is not counted twice


def test_a_shard_of_one_file_is_one_suite():
    job = view(
        state="timed_out",
        test="a.py",
        tests=("a.py",),
        attempts=(attempt(1, "timed_out", reason="timed_out"),),
    )
    root = written(job, reports={"j_1": {1: report(case("x", suite="a", file="a.py"))}})
    assert [suite.get("name") for suite in root.iter("testsuite")] == ["a.py"]
    assert told(root) == {"a.py": {"a:x": [], "acme:a.py": ["failure"]}}


@pytest.mark.parametrize("line", ["x" * 501, "ü" * 400, "x" * 499 + "ü"])
def test_a_long_first_line_of_a_message_is_shortened(line: str):
    job = view(state="failed", attempts=(failed(1), failed(2)))
    first, last = report(case("a", "failed", line)), report(case("a", "failed", f"{line}\nmore"), number=2)
    root = written(job, reports={"j_1": {1: first, 2: last}})
    for tag in ("failure", "rerunFailure"):
        message = next(root.iter(tag)).get("message") or ""
        assert 490 < len(message.encode()) <= 500
        assert line.startswith(message)


def test_attachments_stand_at_the_case_that_did_not_pass():
    paths = {"j_1": ["left/a.png"]}

    def where(job: JobView, *cases: CaseRecord) -> list[str | None]:
        root = written(job, reports={"j_1": {1: report(*cases)}}, attachments=paths)
        return [
            case.get("name")
            for case in root.iter("testcase")
            if "[[ATTACHMENT|left/a.png]]" in (case.findtext("system-out") or "")
        ]

    passed = view(state="passed", attempts=(attempt(1, "passed"),))
    assert where(view(state="failed", attempts=(failed(1),)), case("a"), case("b", "failed")) == ["b"]
    assert where(passed, case("a"), case("b")) == ["a"]
    timed_out = view(state="timed_out", attempts=(attempt(1, "timed_out"),))
    assert where(timed_out, case("a")) == ["tests/a.py"]


def test_a_flood_of_failures_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(junit_cases, "MAX_TEXT_BYTES", 200)
    job = view(state="failed", attempts=(failed(1),))
    many = [case(f"c{n}", "failed", f"wrong {n}\n{'x' * 90}") for n in range(5)]
    root = written(job, reports={"j_1": {1: report(*many, left_out=7)}})
    texts = [failure.text for failure in root.iter("failure")]
    assert [bool(text) for text in texts] == [True, True, False, False, False]
    assert [failure.get("message") for failure in root.iter("failure")] == [f"wrong {n}" for n in range(5)]
    assert "7 more cases did not fit into what is stored" in (root.findtext("testsuite/system-out") or "")


@given(st.text(), st.text(min_size=1), st.text(), st.sampled_from(["passed", "failed", "errored", "skipped"]))
def test_whatever_cases_say_it_is_well_formed(name: str, suite: str, message: str, outcome: str):
    tries = (CaseTry(outcome="failed", message=message), CaseTry.model_validate({"outcome": outcome}))
    cases = [case(name, outcome, message, suite=suite, file=suite, line=1, tries=tries)] * 2
    job = view(state="failed", test=suite, attempts=(failed(1), failed(2)))
    reports = {1: report(*cases), 2: report(*cases, number=2)}
    root = written(job, reports={"j_1": reports})
    found = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(found) == len(set(found)) >= 2
