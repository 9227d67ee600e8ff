"""Reports beside JUnit, and what is kept of them: tests write them, so they are hostile."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.output.masking import masker_of
from agent.reports import playwright_json, wdio_lines
from agent.reports.playwright_json import PlaywrightReport, read_playwright
from agent.reports.stored import case_report, masking
from agent.reports.text import file_of, folders_of, line_of, message_of, name_of, seconds_of, within
from agent.reports.wdio_lines import WdioReport, read_wdio
from agent.runners.base import CaseResult, CaseStatus, CaseTry
from bus_schemas.cases import MAX_REPORT_BYTES, CaseReport

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def playwright(folder: Path, document: Any) -> PlaywrightReport:
    path = folder / "report.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    report = read_playwright(path, root=Path("/work/bundle"))
    assert report is not None
    return report


def spec(
    *results: dict[str, Any], status: str = "expected", expected: str = "passed", **more: Any
) -> dict[str, Any]:
    test = {"status": status, "expectedStatus": expected, "results": list(results), "projectName": "c"}
    return {"title": "buys", "file": "shop.spec.ts", "line": 7, "tests": [test | more]}


def one(spec_: dict[str, Any], **config: Any) -> dict[str, Any]:
    suite = {"title": "shop.spec.ts", "suites": [{"title": "cart", "specs": [spec_]}]}
    return {"config": {"rootDir": "/work/bundle/e2e", **config}, "suites": [suite]}


PASSED: dict[str, Any] = {"status": "passed", "duration": 1500, "errors": []}
FAILED: dict[str, Any] = {
    "status": "failed",
    "duration": 2,
    "errors": [{"message": "\x1b[31mno\x1b[39m\x00\u202e"}],
}


def test_playwright_tells_each_try_and_where_a_case_is(tmp_path: Path):
    report = playwright(tmp_path, one(spec(FAILED, PASSED, status="flaky")))
    assert report == PlaywrightReport(
        (
            CaseResult(
                class_name="shop.spec.ts",
                name="cart › buys",
                status=CaseStatus.PASSED,
                duration_s=1.5,
                attempts=2,
                flaky=True,
                file="e2e/shop.spec.ts",
                line=7,
                tries=(
                    CaseTry(status=CaseStatus.FAILED, duration_s=0.002, message="no"),
                    CaseTry(status=CaseStatus.PASSED, duration_s=1.5),
                ),
            ),
        )
    )


@pytest.mark.parametrize(
    ("case", "status", "message"),
    [
        (spec(FAILED, status="unexpected"), CaseStatus.FAILED, "no"),
        (spec(FAILED, expected="failed"), CaseStatus.PASSED, None),
        (
            spec(PASSED, status="unexpected", expected="failed"),
            CaseStatus.FAILED,
            "expected to fail, but passed",
        ),
        (
            spec({"status": "timedOut", "error": {"message": "late"}}, status="unexpected"),
            CaseStatus.FAILED,
            "late",
        ),
        (spec({"status": "interrupted"}, status="skipped"), CaseStatus.ERROR, None),
        (spec({"status": "skipped"}, status="skipped", expected="skipped"), CaseStatus.SKIPPED, None),
        (spec(status="skipped"), CaseStatus.SKIPPED, None),
    ],
)
def test_playwright_outcomes(tmp_path: Path, case: dict[str, Any], status: CaseStatus, message: str | None):
    (found,) = playwright(tmp_path, one(case)).cases
    assert (found.status, found.message) == (status, message)


def test_playwright_projects_are_told_apart(tmp_path: Path):
    document = one(spec(PASSED), projects=[{"name": "c"}, {"name": "webkit"}])
    assert [case.class_name for case in playwright(tmp_path, document).cases] == ["[c] shop.spec.ts"]


def test_playwright_says_what_kept_it_from_running(tmp_path: Path):
    report = playwright(tmp_path, {"errors": [{"message": "\x1b[31mSyntaxError: x\x1b[0m\n  at y"}]})
    assert (report.cases, report.error) == ((), "SyntaxError: x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no whole JSON"),
        ('{"suites": [', "no whole JSON"),
        ("[" * 200_000, "no whole JSON"),
        ("[]", "no object"),
        ("1" * 10_000, "no whole JSON"),
    ],
)
def test_playwright_that_cannot_be_read(tmp_path: Path, text: str, problem: str):
    assert problem in (playwright(tmp_path, text).problem or "")


def test_playwright_reports_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    nested: dict[str, Any] = {"specs": [spec(PASSED)]}
    for _ in range(100):
        nested = {"title": "x", "suites": [nested]}
    report = playwright(tmp_path, {"suites": [nested, {"title": "f", "specs": [spec(*[FAILED] * 500)]}]})
    assert "nested deeper" in (report.problem or "")
    assert [(case.attempts, len(case.tries)) for case in report.cases] == [(500, playwright_json.MAX_TRIES)]
    monkeypatch.setattr(playwright_json, "MAX_CASES", 2)
    report = playwright(tmp_path, {"suites": [{"title": "f", "specs": [spec(PASSED)] * 5}]})
    assert (len(report.cases), report.problem) == (2, "the JSON report has more than 2 cases")
    monkeypatch.setattr(playwright_json, "MAX_BYTES", 10)
    assert "larger than" in (playwright(tmp_path, "x" * 11).problem or "")


@given(JSON)
def test_no_json_document_is_too_odd_to_be_read(tmp_path_factory: pytest.TempPathFactory, document: Any):
    folder = tmp_path_factory.getbasetemp() / "odd"
    (folder / "lines").mkdir(parents=True, exist_ok=True)
    for shape in (
        document,
        {"suites": document},
        {"suites": [{"specs": document}]},
        one({"tests": document}),
    ):
        playwright(folder, shape)
    (folder / "lines" / "1.jsonl").write_text(json.dumps(document) + "\n")
    read_wdio(folder / "lines")


def wdio(folder: Path, *events: dict[str, Any]) -> WdioReport:
    (folder / "1.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return read_wdio(folder, root=folder)


def event(kind: str, title: str = "buys", **more: Any) -> dict[str, Any]:
    return {"event": kind, "title": title, "suite": "cart", "file": "/x/cart.js", **more}


@pytest.mark.parametrize("odd", [[], {}, None, 3])
def test_words_that_are_no_words_are_read_past(tmp_path: Path, odd: Any):
    (case,) = playwright(tmp_path, one(spec(FAILED | {"status": odd}, status=odd))).cases
    assert case.status is CaseStatus.ERROR
    (tmp_path / "lines").mkdir()
    event = {"event": odd, "title": odd, "suite": odd, "file": odd, "ms": odd, "at": odd, "message": odd}
    lines = [event, {"event": "test:pass", "title": "buys", "suite": "shop"}]
    (tmp_path / "lines" / "1.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [found.name for found in read_wdio(tmp_path / "lines").cases] == ["buys"]


def test_wdio_tells_tries_and_what_had_not_ended(tmp_path: Path):
    report = wdio(
        tmp_path,
        event("test:start"),
        event("test:retry", ms=10, message="not yet"),
        event("test:start"),
        event("test:pass", ms=20),
        event("test:pending", "later"),
        event("hook:end", "before each", message="broken"),
        event("test:start", "for ever"),
    )
    assert [(case.name, case.status, case.attempts, case.flaky) for case in report.cases] == [
        ("buys", CaseStatus.PASSED, 2, True),
        ("later", CaseStatus.SKIPPED, 1, False),
        ("before each", CaseStatus.ERROR, 1, False),
        ("for ever", CaseStatus.ERROR, 1, False),
    ]
    assert report.cases[0].tries[0].message == "not yet"


def test_wdio_in_several_browsers_has_a_case_in_each(tmp_path: Path):
    """One that failed in the first and passed in the second was taken for a flaky one."""
    chrome, other = {"caps": "0", "label": "chrome"}, {"caps": "1", "label": "firefox"}
    fails = event("test:fail", message="no button", at=1)
    report = wdio(tmp_path, fails | chrome, event("test:pass", at=2) | other)
    assert [(case.class_name, case.status, case.flaky) for case in report.cases] == [
        ("[chrome] cart", CaseStatus.FAILED, False),
        ("[firefox] cart", CaseStatus.PASSED, False),
    ]
    (case,) = wdio(tmp_path, fails | chrome, event("test:pass", at=2) | chrome).cases
    assert (case.class_name, case.attempts) == ("[chrome] cart", 2)
    alone = {"caps": "0", "label": ""}
    (case,) = wdio(tmp_path, fails | alone, event("test:pass", at=2) | alone).cases
    assert (case.class_name, case.attempts) == ("cart", 2)


def test_wdio_lines_that_are_none_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "1.jsonl").write_bytes(
        b'\xff{"event"\n[]\n' + json.dumps(event("test:pass")).encode() + b"\n{"
    )
    assert [case.name for case in read_wdio(tmp_path).cases] == ["buys"]
    monkeypatch.setattr(wdio_lines, "MAX_BYTES", 0)
    assert read_wdio(tmp_path).cases == ()
    assert read_wdio(tmp_path / "none").cases == ()


def test_texts_are_fit_to_be_shown():
    assert name_of("a\n\x1b]0;title\x07b\x1b[2Jc\u202ed\x9b") == "a bcd"
    assert (name_of(None), message_of(3), message_of(" \x00 ")) == ("", None, None)
    assert message_of("one\r\ntwo\x1b[0m") == "one\ntwo"
    assert len(message_of("x" * 10_000) or "") == 4096
    assert [seconds_of(value) for value in ("1,234.5", "-1", "nan", "x", None, True)] == [
        1234.5,
        0,
        0,
        0,
        0,
        1,
    ]
    assert [line_of(value) for value in (3, "4", 0, -1, "x", None, 10**30)] == [
        3,
        4,
        None,
        None,
        None,
        None,
        None,
    ]
    assert file_of("/b/e2e/a.ts", Path("/b")) == "e2e/a.ts"
    assert file_of("/other/a.ts", Path("/b")) == "/other/a.ts"


def as_it_is(case: CaseResult) -> CaseResult:
    return case


def test_of_too_many_cases_those_that_failed_are_stored_in_the_reports_order():
    def case(place: int) -> CaseResult:
        status = CaseStatus.FAILED if place in {3, 29_999} else CaseStatus.PASSED
        return CaseResult(class_name="c", name=str(place), status=status, duration_s=1.0)

    report = case_report("j_1", 1, "pytest", [case(place) for place in range(30_000)], as_it_is)
    assert [one.name for one in report.cases[:4]] == ["0", "1", "2", "3"]
    assert (report.cases[-1].name, report.cases[-1].outcome) == ("29999", "failed")
    assert report.left_out == 30_000 - len(report.cases)


def test_what_is_stored_is_bounded_messages_going_first():
    case = CaseResult(
        class_name="c" * 500,
        name="n" * 500,
        status=CaseStatus.FAILED,
        duration_s=1.0,
        message='"\n\\ü' * 1000,
    )
    few = case_report("j_1", 1, "pytest", [case] * 3, as_it_is)
    assert [record.message for record in few.cases] == [case.message] * 3
    many = case_report("j_1", 1, "pytest", [case] * 50_000, as_it_is)
    assert len(many.encode()) <= MAX_REPORT_BYTES
    assert many.left_out == 50_000 - len(many.cases)
    assert many.cases[-1].message is None
    assert CaseReport.decode(many.encode()) == many


def test_files_of_the_bundle_are_told_as_the_bundle_names_them(tmp_path: Path):
    (tmp_path / "work").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "work")
    bundle = tmp_path / "link"
    message = f"secret at {tmp_path}/work/e2e/a.ts:5:1\n({bundle}/b.ts) file://{bundle}/c.ts {bundle}s/d.ts"
    told = f"*** at e2e/a.ts:5:1\n(b.ts) c.ts {bundle}s/d.ts"
    case = CaseResult(
        class_name="c",
        name="n",
        status=CaseStatus.FAILED,
        duration_s=1.0,
        message=message,
        tries=(CaseTry(status=CaseStatus.FAILED, message=message), CaseTry(status=CaseStatus.FAILED)),
    )
    masked = masking(masker_of({"A": "secret"}), bundle)
    found = masked(case)
    parametrized = dataclasses.replace(case, name="test_login[secret]", class_name="as secret")
    named = masked(parametrized)
    assert (named.name, named.class_name) == ("test_login[***]", "as ***")
    assert (found.message, [one.message for one in found.tries]) == (told, [told, None])
    found = masking(masker_of({}), tmp_path / "elsewhere")(case)
    assert found == case


def test_a_bundles_real_path_that_ends_like_its_name_is_cut_as_a_whole(tmp_path: Path):
    """As on a Mac, where `/var` is `/private/var`."""
    real = tmp_path / "private" / tmp_path.relative_to("/") / "work"
    real.mkdir(parents=True)
    (tmp_path / "work").symlink_to(real)
    assert within(f"{real}/a.ts {tmp_path}/work/b.ts", folders_of(tmp_path / "work")) == "a.ts b.ts"


def test_telling_cases_costs_the_file_system_nothing_and_ends_with_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    resolved, told = list[Path](), list[CaseResult]()
    resolve = Path.resolve

    def counted(path: Path) -> Path:
        resolved.append(path)
        return resolve(path)

    monkeypatch.setattr(Path, "resolve", counted)
    case = CaseResult(
        class_name="c", name="n" * 500, status=CaseStatus.FAILED, duration_s=1.0, message=f"{tmp_path}/a"
    )

    masked = masking(masker_of({}), tmp_path)

    def noted(one: CaseResult) -> CaseResult:
        told.append(one)
        return masked(one)

    report = case_report("j_1", 1, "pytest", [case] * 50_000, noted)
    assert (len(resolved), report.cases[0].message) == (1, "a")
    assert len(told) <= len(report.cases) + 1
    assert report.left_out == 50_000 - len(report.cases)


@pytest.mark.timeout(10)
def test_a_pipe_in_a_reports_place_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "playwright.json")
    os.mkfifo(tmp_path / "worker.jsonl")
    report = read_playwright(tmp_path / "playwright.json")
    assert report == PlaywrightReport(problem="the JSON report cannot be read: it is no plain file")
    assert read_wdio(tmp_path) == WdioReport()
