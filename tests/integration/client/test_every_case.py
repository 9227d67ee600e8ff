"""Collecting the cases of all jobs for a report: failed ones first, at most so many, and what is missing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.reports.stored import store_cases
from bus_schemas.cases import CaseRecord, CaseReport
from bus_schemas.events import Attempt, CaseCounts
from bus_schemas.jobs import BlobRef
from bus_schemas.queries import JobView
from qgjob import reporting
from qgjob.client import Client
from qgjob.reporting import explain, read_cases
from tests.support.views import view


async def job(client: Client, folder: Path, name: str, *, passed: bool, attempts: int = 1) -> JobView:
    told: list[Attempt] = []
    for number in range(1, attempts + 1):
        outcome = "passed" if passed and number == attempts else "failed"
        cases = (CaseRecord(name=f"{name} {number}", outcome=outcome), CaseRecord(name="b", outcome="passed"))
        report = CaseReport(job_id=name, attempt=number, runner="pytest", cases=cases)
        told.append(
            Attempt(
                number=number,
                outcome=outcome,
                report=await store_cases(client.bus, folder, report),
                cases=CaseCounts(passed=1 + (outcome == "passed"), failed=int(outcome == "failed")),
            )
        )
    return view(job_id=name, state="passed" if passed else "failed", attempts=tuple(told))


def shown(found: reporting.AllCases) -> dict[str, dict[int, str]]:
    return {
        job_id: {number: report.cases[0].name for number, report in reports.items()}
        for job_id, reports in found.reports.items()
    }


async def test_the_cases_of_all_attempts_are_read_and_what_is_missing_is_told(client: Client, folder: Path):
    flaky = await job(client, folder, "j_1", passed=True, attempts=2)
    gone = Attempt(number=1, outcome="passed", report=BlobRef(digest="0" * 64, size=1))
    silent = view(job_id="j_3", state="passed", attempts=(Attempt(number=1, outcome="passed"),))
    found = await read_cases(
        client, [flaky, view(job_id="j_2", state="passed", attempts=(gone,)), silent, view(job_id="j_4")]
    )
    assert {job_id: names for job_id, names in shown(found).items() if names} == {
        "j_1": {1: "j_1 1", 2: "j_1 2"}
    }
    assert found.unread == (
        "Not all cases are shown: those of 1 job could not be read; there each file is one case"
    )


async def test_what_was_read_to_explain_failures_is_not_read_again(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    read = list[int]()

    async def cases(
        attempt: Attempt, reads: Callable[[Attempt], Awaitable[CaseReport | None]] = client.cases
    ):
        read.append(attempt.number)
        return await reads(attempt)

    monkeypatch.setattr(client, "cases", cases)
    failed = await job(client, folder, "j_1", passed=False, attempts=2)
    explained = await explain(client, [failed])
    assert set(explained.reports) == {"j_1"}
    found = await read_cases(client, [failed], known=explained.reports)
    assert shown(found) == {"j_1": {1: "j_1 1", 2: "j_1 2"}}
    assert sorted(read) == [1, 2]


async def test_failed_jobs_go_first_where_there_are_too_many_cases(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reporting, "MAX_SHOWN_CASES", 5)
    jobs = [await job(client, folder, f"j_{number}", passed=number != 2) for number in range(3)]
    found = await read_cases(client, jobs)
    assert set(shown(found)) == {"j_0", "j_2"}
    assert found.unread == (
        "Not all cases are shown: those of 1 job are over the limit of 5 cases or 64 MiB of reports; "
        "there each file is one case"
    )


async def test_the_size_of_reports_counts_and_of_cases_those_that_are_stored(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    first = await job(client, folder, "j_0", passed=True)
    (told,) = first.attempts
    many = told.model_copy(update={"cases": CaseCounts(passed=1_000_000)})
    unstored = many.model_copy(update={"number": 1, "report": None, "outcome": "errored"})
    attempts = (unstored, many.model_copy(update={"number": 2}))
    found = await read_cases(client, [first.model_copy(update={"attempts": attempts})])
    assert (set(found.reports), found.over) == ({"j_0"}, 0)
    assert told.report is not None
    monkeypatch.setattr(reporting, "MAX_SHOWN_BYTES", told.report.size)
    found = await read_cases(client, [first, await job(client, folder, "j_1", passed=True)])
    assert (set(found.reports), found.over) == ({"j_0"}, 1)
