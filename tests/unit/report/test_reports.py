from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.cases import CaseRecord
from bus_schemas.events import Attempt, FileResult
from bus_schemas.queries import JobView, RunView
from qgjob.report.annotations import MAX_ANNOTATIONS, github, gitlab
from qgjob.report.html import html
from qgjob.report.markdown import MAX_ROWS, markdown
from qgjob.report.model import Picture, RunReport, worst_first
from qgjob.report.plain import plain

T0 = 1_700_000_000.0
HOSTILE = "</script><img src=x onerror=alert(1)> | `x` \x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 %0A ::error::"


def job(
    number: int, state: str = "passed", *, flaky: bool = False, test: str = "", message: str | None = None
) -> JobView:
    outcomes = ["failed", state] if flaky else [state]
    ended = state not in {"queued", "running"}
    return JobView(
        job_id=f"j_{number}",
        run_id="r_1",
        org_id="acme",
        app_version_id="v1",
        test=test or f"tests/t{number}.py",
        position=number,
        state=state,  # pyright: ignore[reportArgumentType]
        priority=5,
        runner="pytest",
        created_at=T0,
        queued_at=T0,
        flaky=flaky,
        message=message,
        attempts=tuple(
            Attempt(
                number=place,
                agent="lab",
                slot=f"s{number % 3}",
                started_at=T0 + number,
                running_at=T0 + number + 0.5,
                finished_at=T0 + number + 2 if ended else None,
                outcome=outcome if ended else None,  # pyright: ignore[reportArgumentType]
                installed=place == 1,
                install_s=0.5,
                duration_s=1.5,
            )
            for place, outcome in enumerate(outcomes, 1)
        )
        if state != "queued"
        else (),
    )


def report(*jobs: JobView, size: int | None = None, title: str = "nightly", **more: object) -> RunReport:
    run = RunView(run_id="r_1", org_id="acme", state="failed", size=size or len(jobs), jobs=jobs)
    return RunReport(title=title, jobs=jobs, run=run, at=T0 + 60, **more)  # pyright: ignore[reportArgumentType]


class Page(HTMLParser):
    """What a browser would make of a page: its tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_worst_come_first():
    jobs = [job(0), job(1, flaky=True), job(2, "running"), job(3, "errored"), job(4, "failed")]
    assert [found.position for found in worst_first(jobs)] == [4, 3, 2, 1, 0]


class TestHtml:
    def test_every_job_is_there_with_its_attempts(self):
        page = Page(html(report(job(0), job(1, "failed"), job(2, flaky=True))))
        jobs = [found for found in page.having("details") if "job" in str(found["class"]).split()]
        assert [found["id"] for found in jobs] == ["j_1", "j_2", "j_0"]
        assert [found["data-states"] for found in jobs] == ["failed", "passed flaky", "passed"]
        assert "open" in jobs[0]
        bars = [found for found in page.having("rect") if "bar" in str(found["class"]).split()]
        assert len(bars) == 4

    def test_nothing_is_loaded_and_only_its_own_script_may_run(self):
        text = html(report(job(0, "failed"), logs={"j_0": HOSTILE}))
        policy = next(str(found["content"]) for found in Page(text).having("meta") if "http-equiv" in found)
        (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in policy
        assert "default-src 'none'" in policy
        assert not re.findall(r"(?:src|href)=\"(?!data:)", text)

    def test_pictures_and_cases_are_shown(self):
        cases = {"j_0": [CaseRecord(name="logs in", outcome="failed", message="no button\nat login.ts:3")]}
        pictures = {"j_0": [Picture("end.png", "image/png", b"\x89PNG")]}
        page = Page(html(report(job(0, "failed"), cases=cases, pictures=pictures)))
        assert page.having("img")[0]["src"] == "data:image/png;base64,iVBORw=="
        assert "at login.ts:3" in page.text

    def test_one_that_is_not_over_says_what_is_missing(self):
        assert "2 of 3 jobs have not ended" in Page(html(report(job(0), job(1, "running"), size=3))).text

    def test_what_was_tested_for_whom_stands_at_the_top(self):
        meta = {"zone": "lab 2", "url": "https://ci/9", "bad": "javascript:alert(1)", "branch": "<main>"}
        found = report(job(0), job(1, flaky=True), job(2, "failed"))
        assert found.run is not None
        told = replace(found, run=found.run.model_copy(update={"meta": meta}))
        page = Page(html(told))
        assert "branch <main>url https://ci/9zone lab 2bad javascript:alert(1)" in page.text
        assert [link["href"] for link in page.having("a")] == ["https://ci/9"]
        shares = [found["title"] for found in page.having("i") if "title" in found]
        assert shares == ["1 failed", "1 flaky", "1 passed"]
        buttons = [found["data-state"] for found in page.having("button") if "data-state" in found]
        assert buttons == ["failed", "flaky", "passed"]

    def test_the_files_of_a_shard_are_shown_as_they_went(self):
        files = (FileResult(file="a.py", outcome="failed", duration_s=2.0),)
        attempt = Attempt(number=1, outcome="failed", started_at=T0, files=files, takeovers=1)
        shard = job(0, "failed").model_copy(update={"tests": ("a.py", "b.py"), "attempts": (attempt,)})
        page = Page(html(report(shard)))
        assert "faileda.py2.0s" in page.text
        assert "no resultb.py" in page.text
        assert "taken over" in page.text

    @given(st.text() | st.just(HOSTILE))
    def test_nothing_that_a_test_says_becomes_markup(self, text: str):
        bad = job(0, "failed", test=f"t{text}"[:1000], message=text[:4000])
        case = CaseRecord(
            name=text[:900], suite=text[:900], outcome="failed", message=text[:900], file=text[:900]
        )
        page = Page(html(report(bad, title=text, logs={"j_0": text}, cases={"j_0": [case]})))
        assert not page.having("img")
        assert len(page.having("script")) == 1
        assert not any(name.startswith("on") for _, found in page.tags for name in found)
        assert "\x1b" not in page.text


def test_what_is_missing_is_named_as_far_as_it_is_known():
    assert report(job(0), job(1, "running"), size=3).missing == (
        "2 of 3 jobs have not ended: tests/t1.py (running) and 1 more"
    )
    many = [job(n, "queued") for n in range(9)]
    assert report(*many).missing.endswith("tests/t4.py (queued) and 4 more")
    assert report(job(0), size=2).missing == "1 of 2 jobs have not ended"


class TestMarkdown:
    def test_what_did_not_pass_is_listed(self):
        text = markdown(report(job(0), job(1, "failed", message="no | button"), logs={"j_1": "a\nb"}))
        assert text.startswith("## ❌ nightly\n\n**1** passed, **1** failed · 3.0s of tests · 2 installs\n")
        assert r"| ❌ | `tests/t1.py` | no \| button | 1 | 1.5s |" in text
        assert "<summary>tests/t1.py</summary>\n\n```\na\nb\n```" in text

    def test_a_long_list_is_cut(self):
        text = markdown(report(*(job(number, "failed") for number in range(MAX_ROWS + 7))))
        assert text.count("\n| ❌ |") == MAX_ROWS
        assert "… and 7 more." in text

    def test_one_that_is_not_over_says_what_is_missing(self):
        assert "**Not over yet**: 1 of 2 jobs" in markdown(report(job(0), job(1, "queued")))

    @given(st.text() | st.just(HOSTILE) | st.just("```\n# x\n````"))
    def test_nothing_breaks_out_of_its_place(self, text: str):
        told = markdown(
            report(job(0, "failed", test=f"t{text}"[:900], message=text[:900]), logs={"j_0": text})
        )
        (row,) = [line for line in told.splitlines() if line.startswith("| ❌")]
        assert len(re.findall(r"(?<!\\)\|", row)) == 6
        assert "\x1b" not in told
        fences = re.findall(r"^`{3,}$", told, re.MULTILINE)
        assert not fences or (fences[0] == fences[-1] and fences.count(max(fences, key=len)) == 2)


class TestAnnotations:
    def test_a_case_is_shown_at_its_line(self):
        cases = {
            "j_0": [
                CaseRecord(name="ok", outcome="passed"),
                CaseRecord(name="logs in", outcome="failed", message="no", file="a.ts", line=3),
            ]
        }
        assert github(report(job(0, "failed"), cases=cases)) == "::error file=a.ts,line=3,title=logs in::no\n"

    @pytest.mark.parametrize(
        ("message", "line"),
        [
            ("Error: no\n    at /lab/bundle/e2e/a.ts:7:9\n    at e2e/a.ts:20:1", 7),
            ("e2e/a.ts:5: AssertionError", 5),
            ("of another: e2e/ba.ts:5 xe2e/a.ts:6 e2e/a.ts:0", 3),
        ],
    )
    def test_it_is_shown_where_it_failed_and_as_the_repository_names_it(self, message: str, line: int):
        case = CaseRecord(name="logs in", outcome="failed", message=message, file="e2e/a.ts", line=3)
        told = report(job(0, "failed"), cases={"j_0": [case]})
        assert told.run
        told = replace(told, run=told.run.model_copy(update={"meta": {"folder": "web/shop"}}))
        assert github(told).startswith(f"::error file=web/shop/e2e/a.ts,line={line},title=logs in::")
        location = json.loads(gitlab(told))[0]["location"]
        assert location == {"path": "web/shop/e2e/a.ts", "lines": {"begin": line}}

    def test_a_flaky_one_is_a_warning(self):
        assert github(report(job(0), job(1, flaky=True))) == (
            "::warning file=tests/t1.py,title=tests/t1.py flaky::passed only after a failure\n"
        )

    @given(st.text())
    def test_each_is_one_line_whatever_it_says(self, text: str):
        told = github(report(job(0, "failed", test=f"t{text}"[:900], message=text[:900])))
        assert told.count("\n") == 1
        assert "\r" not in told
        head = told.removeprefix("::error ").partition("::")[0]
        assert re.fullmatch(r"file=[^,:]*,title=[^,:]*", head, re.DOTALL)

    def test_there_are_no_more_than_are_shown(self):
        jobs = [job(number, "failed") for number in range(MAX_ANNOTATIONS + 5)]
        assert github(report(*jobs)).count("\n") == MAX_ANNOTATIONS

    def test_gitlab_gets_a_code_quality_report(self):
        issues = json.loads(gitlab(report(job(0), job(1, "errored"), job(2, flaky=True))))
        assert [issue["severity"] for issue in issues] == ["major", "minor"]
        assert issues[0]["location"] == {"path": "tests/t1.py", "lines": {"begin": 1}}
        assert len({issue["fingerprint"] for issue in issues}) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [("a\r\nb", "a\nb"), ("\x1b[1;31mx\x1b[0m", "x"), ("\x1b]0;title\x07y", "y"), ("a\x00b", "a\ufffdb")],
)
def test_output_is_told_without_what_a_terminal_obeys(text: str, told: str):
    assert plain(text) == told
