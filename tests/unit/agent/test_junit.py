"""Reading JUnit reports: dialects, attempts, and hostile files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.reports import junit
from agent.reports.junit import JUnitReport, read_junit, read_junits
from agent.runners.base import CaseCounts, CaseStatus
from tests.support.examples import examples


def read(tmp_path: Path, text: str | bytes, *, reruns: bool = False) -> JUnitReport:
    path = tmp_path / "junit.xml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    report = read_junit(path, repeats_are_reruns=reruns)
    assert report is not None
    return report


def suite(*cases: str, host: str = "h") -> str:
    return f'<testsuite name="s" hostname="{host}" tests="999" failures="999">{"".join(cases)}</testsuite>'


def case(name: str = "t", inside: str = "", time: str = "1.5") -> str:
    return f'<testcase classname="c" name="{name}" time="{time}">{inside}</testcase>'


def test_no_file_is_no_report(tmp_path: Path):
    assert read_junit(tmp_path / "none.xml") is None


@pytest.mark.timeout(10)
def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link", "."):
        report = read_junit(tmp_path / name)
        assert report == JUnitReport(problem="the JUnit report cannot be read: it is no plain file")


def test_a_link_to_a_report_is_one(tmp_path: Path):
    (tmp_path / "real.xml").write_text(suite(case()))
    (tmp_path / "link.xml").symlink_to("real.xml")
    report = read_junit(tmp_path / "link.xml")
    assert report is not None
    assert len(report.cases) == 1


def test_counts_are_recomputed(tmp_path: Path):
    report = read(
        tmp_path,
        "<testsuites tests='7'>"
        + suite(
            case("a"),
            case("b", '<failure message="no"/>'),
            case("c", "<error>Traceback\n…</error>"),
            case("d", '<skipped message="later"/>'),
        )
        + "</testsuites>",
    )
    assert report.problem is None
    assert CaseCounts.of(report.cases) == CaseCounts(total=4, passed=1, failed=1, errors=1, skipped=1)
    assert [(c.status, c.message) for c in report.cases] == [
        (CaseStatus.PASSED, None),
        (CaseStatus.FAILED, "no"),
        (CaseStatus.ERROR, "Traceback\n…"),
        (CaseStatus.SKIPPED, "later"),
    ]
    assert {c.duration_s for c in report.cases} == {1.5}


@pytest.mark.parametrize(
    ("attempts", "status", "flaky"),
    [
        (["<failure/>", ""], CaseStatus.PASSED, True),
        (["<failure/>", "<failure/>"], CaseStatus.FAILED, False),
        (["<skipped/>", ""], CaseStatus.PASSED, True),
        (["", "<failure/>"], CaseStatus.FAILED, False),
        (["", ""], CaseStatus.PASSED, False),
    ],
)
def test_the_last_attempt_wins(tmp_path: Path, attempts: list[str], status: CaseStatus, flaky: bool):
    (result,) = read(tmp_path, suite(*(case(inside=inside) for inside in attempts))).cases
    assert (result.status, result.flaky, result.attempts) == (status, flaky, 2)


def test_pytests_reruns_look_passed_and_are_flaky(tmp_path: Path):
    (result,) = read(tmp_path, suite(case(), case()), reruns=True).cases
    assert (result.status, result.flaky, result.attempts) == (CaseStatus.PASSED, True, 2)


def test_pytests_error_in_teardown_is_no_second_attempt(tmp_path: Path):
    teardown = '<error message="failed on teardown with &quot;ValueError&quot;"/>'
    (result,) = read(
        tmp_path, suite(case(inside='<failure message="no"/>'), case(inside=teardown)), reruns=True
    ).cases
    assert (result.status, result.message, result.attempts) == (CaseStatus.FAILED, "no", 1)


def test_retries_inside_a_case_are_attempts(tmp_path: Path):
    flaky = '<flakyFailure message="x"><stackTrace>…</stackTrace></flakyFailure>'
    failed = '<rerunFailure message="x"/><failure message="y"/>'
    report = read(tmp_path, suite(case("a", flaky), case("b", failed)))
    assert [(c.status, c.flaky, c.attempts) for c in report.cases] == [
        (CaseStatus.PASSED, True, 2),
        (CaseStatus.FAILED, False, 2),
    ]


def test_one_test_in_two_projects_is_two_cases(tmp_path: Path):
    text = f"<testsuites>{suite(case(), host='firefox')}{suite(case(inside='<failure/>'), host='webkit')}</testsuites>"
    report = read(tmp_path, text)
    assert [(c.class_name, c.status) for c in report.cases] == [
        ("[firefox] c", CaseStatus.PASSED),
        ("[webkit] c", CaseStatus.FAILED),
    ]


def test_a_report_that_breaks_off_keeps_what_was_read(tmp_path: Path):
    report = read(tmp_path, suite(case("a"), case("b"))[:-40])
    assert [c.name for c in report.cases] == ["a"]
    assert report.problem is not None
    assert "no whole XML document" in report.problem


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB + suite(case("&b;")), "declares a document type"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd">' + suite(case()), "declares a document type"),
        ("<a>" * 100, "nested deeper"),
        ("", "no whole XML document"),
        ("no xml", "no whole XML document"),
        (b"\x00\xff\xfe", "no whole XML document"),
        (suite(case("\x08")), "no whole XML document"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "no whole XML document"),
        (b"<a>\xff</a>", "no whole XML document"),
    ],
)
def test_hostile_reports_are_refused_in_a_sentence(tmp_path: Path, text: str | bytes, problem: str):
    report = read(tmp_path, text)
    assert problem in (report.problem or "")


def test_size_cases_and_texts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    long = read(tmp_path, suite(case("n" * 5000, f"<failure>{'m' * 99999}</failure>")))
    assert (len(long.cases[0].name), len(long.cases[0].message or "")) == (junit.MAX_NAME, junit.MAX_MESSAGE)
    monkeypatch.setattr(junit, "MAX_CASES", 3)
    many = read(tmp_path, suite(*(case(str(n)) for n in range(5))))
    assert (len(many.cases), "more than 3 test cases" in (many.problem or "")) == (3, True)
    monkeypatch.setattr(junit, "MAX_BYTES", 100)
    assert "larger than" in (read(tmp_path, suite(case()) + " " * 200).problem or "")


@pytest.mark.parametrize("time", ["", "x", "nan", "inf", "-1", "1e99"])
def test_strange_durations_count_as_none(tmp_path: Path, time: str):
    assert read(tmp_path, suite(case(time=time))).cases[0].duration_s == 0.0


def test_thousands_separators_are_read(tmp_path: Path):
    assert read(tmp_path, suite(case(time="1,234.5"))).cases[0].duration_s == 1234.5


@settings(
    max_examples=examples(200),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                *(
                    "<testsuite>",
                    "</testsuite>",
                    "<testcase name='a'>",
                    "</testcase>",
                    "<failure>",
                    "</failure>",
                ),
                *(
                    "<skipped/>",
                    "text",
                    "<flakyFailure/>",
                    "&lt;",
                    "&#0;",
                    "<![CDATA[x]]>",
                    "<!-- c -->",
                    "<?pi?>",
                ),
            ]
        )
    )
)
def test_nothing_in_a_report_raises(tmp_path: Path, pieces: list[str]):
    read(tmp_path, "<r>" + "".join(pieces) + "</r>")


def test_all_reports_of_a_folder_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "junit.xml"
    assert read_junits(path) is None
    for name in ("wdio-0-1.xml", "wdio-0-0.xml"):
        (tmp_path / name).write_text(suite(case("t"), case(name)))
    report = read_junits(path)
    assert report is not None
    assert [one.name for one in report.cases] == ["t", "wdio-0-0.xml", "t", "wdio-0-1.xml"]
    path.write_text(suite(case("own")))
    (tmp_path / "coverage.xml").write_text("<!DOCTYPE coverage><coverage/>")
    report = read_junits(path)
    assert report is not None
    assert [one.name for one in report.cases[:2]] == ["own", "t"]
    assert report.problem == (
        "coverage.xml: the JUnit report was not read to its end: it declares a document type"
    )
    monkeypatch.setattr(junit, "MAX_FILES", 1)
    monkeypatch.setattr(junit, "MAX_CASES", 1)
    report = read_junits(path)
    assert report is not None
    assert len(report.cases) == 1
    assert "coverage.xml not read: together they may have 32 MiB and 1 cases" in (report.problem or "")
    assert "of 4 JUnit reports 2 were looked at" in (report.problem or "")


def test_reports_that_are_too_large_take_no_other_with_them_and_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(junit, "MAX_BYTES", 2**20)
    path = tmp_path / "junit.xml"
    (tmp_path / "coverage.xml").write_text(suite(case("much", " " * 2**20)))
    report = read_junits(path)
    assert report == JUnitReport(
        problem="of the JUnit reports coverage.xml not read: together they may have 1 MiB and 100000 cases"
    )
    (tmp_path / "last.xml").write_text(suite(case("last")))
    report = read_junits(path)
    assert report is not None
    assert [one.name for one in report.cases] == ["last"]
    path.write_text(suite(case("first"), case("much", " " * 2**20)))
    report = read_junits(path)
    assert report is not None
    assert [one.name for one in report.cases] == ["first"]
    assert "coverage.xml and 1 more not read" in (report.problem or "")
    assert "not read to its end: it is larger than 1 MiB" in (report.problem or "")


def test_cases_that_the_last_of_several_reports_has_too_many_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(junit, "MAX_CASES", 3)
    for name in ("a.xml", "b.xml"):
        (tmp_path / name).write_text(suite(case("1"), case("2")))
    report = read_junits(tmp_path / "junit.xml")
    assert report is not None
    assert len(report.cases) == 3
    assert report.problem == "of 4 cases in the JUnit reports 3 were kept"
