"""A run as JUnit XML: one test case a test file, or on request the cases of the tests' own reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bus_schemas.cases import CaseRecord
from bus_schemas.queries import JobView, RunView
from qgjob.report.junit_cases import CaseSuites
from qgjob.report.junit_document import Suite, document
from qgjob.report.junit_files import cases_by_file
from qgjob.report.model import Reports, RunReport


def junit(report: RunReport, *, name: str | None = None) -> bytes:
    """A collected report as a UTF-8 document; `name`: the suite's, else the run's own."""
    return junit_xml(
        report.jobs,
        name=name or (report.run.name if report.run else None),
        run=report.run,
        attachments=report.attachments,
        cases=report.cases,
        logs=report.logs,
        reports=report.reports,
    )


def junit_xml(
    jobs: Sequence[JobView],
    *,
    name: str | None,
    run: RunView | None = None,
    attachments: Mapping[str, Sequence[str]] | None = None,
    cases: Mapping[str, Sequence[CaseRecord]] | None = None,
    logs: Mapping[str, str] | None = None,
    reports: Mapping[str, Reports] | None = None,
) -> bytes:
    """The report of these jobs as a UTF-8 document; `name`: the suite's, else the organisation.

    Failed and timed out are failures; errored, cancelled and expired are errors, since such a
    test did not pass; what has not ended or never ran is skipped. Earlier attempts of what passed
    are `flakyFailure`s or `flakyError`s, of what did not `rerunFailure`s or `rerunError`s.
    `attachments`: paths of downloaded files by job, as Jenkins and GitLab take them. `cases` and
    `logs`, the cases and the output of the last attempt by job: of what did not pass a part of one
    of them is the text of its failure. `reports`: by job the test reports of its attempts; if not
    None there is a suite for each file, with their cases.
    """
    files, records, output = attachments or {}, cases or {}, logs or {}
    orgs = ", ".join(sorted({job.org_id for job in jobs}))
    name = name or orgs
    properties = {
        "run_id": ", ".join(sorted({job.run_id for job in jobs})),
        "org_id": orgs,
        "app_version_id": ", ".join(sorted({job.app_version_id for job in jobs})),
        **({f"meta.{key}": value for key, value in run.meta.items()} if run else {}),
    }
    url = run.meta.get("url") if run else None

    def of(job: JobView) -> tuple[JobView, Sequence[str], Sequence[CaseRecord], str]:
        job_id = job.job_id
        return job, files.get(job_id, ()), records.get(job_id, ()), output.get(job_id, "")

    if reports is not None:
        case_suites = CaseSuites()
        suites = [suite for job in jobs for suite in case_suites.of(*of(job), reports.get(job.job_id, {}))]
    else:
        written = [case for job in jobs for case in cases_by_file(*of(job))]
        started = [a.started_at for job in jobs for a in job.attempts if a.started_at is not None]
        suites = [Suite(name, written, min(started, default=None), run.run_id if run else None)]
    return document(suites, name=name, properties=properties, url=url)
