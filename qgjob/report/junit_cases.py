"""A run as JUnit's suites, one a test file, with the cases that the tests' own reports tell of.

A case is named as its tool names it, with its file where its class does not tell that. What the cases do not
tell, the file's own case does, so that nothing looks green that was not: that it timed out, that the lab
failed, that it failed after cases that passed, that an earlier attempt failed otherwise. Where no cases are
known it stands alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from posixpath import splitext
from typing import Final, NamedTuple

from bus_schemas.cases import CaseRecord
from bus_schemas.events import Attempt
from bus_schemas.queries import JobView
from qgjob.domain.testfiles import FileNames
from qgjob.domain.wording import pluralize
from qgjob.report.excerpt import JUNIT_LINES, MAX_BYTES, excerpt, first_lines
from qgjob.report.junit_document import KINDS, Case, Suite, Try, xml_text
from qgjob.report.junit_files import cases_by_file, file_name, job_case, output_lines, shard_file_case
from qgjob.report.model import Reports, file_results

MAX_TEXT_BYTES: Final = 16 * 2**20
"""Of all failures of a document together; further ones have their first line."""
_TRY_LINES: Final = 10
_MESSAGE_BYTES: Final = 500
_WRONG: Final = frozenset({"failed", "errored"})
_BY_TEST: Final = "test_failed"
"""An attempt's reason where the test itself says that it failed."""


class _Key(NamedTuple):
    """What a case is known by in all attempts; `nth` tells those of one name apart."""

    file: str | None
    suite: str
    name: str
    nth: int


class CaseSuites:
    """The suites of a document's jobs, each once and in order."""

    def __init__(self) -> None:
        self._names = _UniqueNames()
        self._room = MAX_TEXT_BYTES

    def of(
        self,
        job: JobView,
        attachments: Sequence[str],
        cases: Sequence[CaseRecord],
        output: str,
        reports: Reports,
    ) -> Iterator[Suite]:
        """The suites of a job, of a shard one for each file with cases."""
        last = job.attempts[-1] if job.attempts else None
        report = reports.get(last.number) if last else None
        if last is None or report is None or not report.cases:
            yield _suite(job, job.title, list(cases_by_file(job, attachments, cases, output)))
            return
        earlier = _Earlier(job, reports, list(_with_keys(report.cases)))
        wrong = {result.file for result in last.files if result.outcome in _WRONG}
        failing = bool(wrong) or any(case.outcome in _WRONG for case in report.cases)
        whole_failed = job.state != "passed" and not (
            job.state == "failed" and last.reason == _BY_TEST and failing
        )
        if attachments and not whole_failed:
            earlier.attach(attachments)
        by_file = self._cases_by_file(job, earlier)
        rest = list(by_file.get(None, ()))
        suites: dict[str, list[Case]] = {}
        results = file_results(job)
        for file in job.tests:
            own = by_file.get(file, [])
            if own:
                suites[file_name(job, file)] = own
            # A file that failed has a case that did, also where those of its report did not fit.
            if not own or (file in wrong and not any(case.kind in {"failure", "error"} for case in own)):
                case = shard_file_case(job, file, results, (), cases)
                (own or rest).append(_without_time_of(case, own))
        if whole_failed or earlier.unexplained:
            shown = excerpt(() if failing else cases, output, lines=JUNIT_LINES)
            whole = job_case(job, attachments if whole_failed else (), shown, earlier=earlier.unexplained)
            rest.append(
                _without_time_of(whole, [*rest, *(case for some in suites.values() for case in some)])
            )
        if rest:
            suites.setdefault(job.title, []).extend(rest)
        lines = output_lines(job, ())
        if report.left_out:
            lines.append(f"{pluralize(report.left_out, 'more case')} did not fit into what is stored")
        for name, some in suites.items():
            yield _suite(job, name, some, lines)

    def _cases_by_file(self, job: JobView, earlier: _Earlier) -> dict[str | None, list[Case]]:
        """The cases of the last attempt, by the shard's file; by None where that is not known."""
        whose = FileNames(job.tests)
        by_file: dict[str | None, list[Case]] = {}
        for key, record in earlier.cases:
            file = whose.find(record.file) if job.tests and record.file else None
            case = self._case(job, record, file, earlier.tries_of(key, record), earlier.files_of(key))
            by_file.setdefault(file, []).append(case)
        return by_file

    def _case(
        self,
        job: JobView,
        record: CaseRecord,
        file: str | None,
        tries: Sequence[Try],
        attachments: Sequence[str],
    ) -> Case:
        class_ = record.suite or record.file or job.test
        whose = file if job.tests else job.test
        # Always, and not where two are alike: a name must not depend on what other files told this time.
        name = record.name if not whose or _begins_with_path(class_, whose) else f"{record.name} [{whose}]"
        suite = file_name(job, file) if file else job.title
        classname, name = self._names.take(xml_text(class_), xml_text(file_name(job, name)), suite)
        kind = KINDS[record.outcome]
        if kind is None and not tries and not attachments:
            return Case(classname, name, record.duration_s)
        wrong = record.outcome in _WRONG
        message = first_lines(record.message or "", lines=1, max_bytes=_MESSAGE_BYTES)
        return Case(
            classname,
            name,
            record.duration_s,
            kind,
            message or (record.outcome if wrong else ""),
            record.outcome if wrong else "",
            self._text(job, record) if wrong else "",
            [dataclasses.replace(one, text=self._take(one.text)) for one in tries],
            output_lines(job, attachments) if wrong or tries or attachments else (),
        )

    def _text(self, job: JobView, record: CaseRecord) -> str:
        where = f"{record.file}:{record.line}" if record.file and record.line else ""
        message = first_lines(record.message or "", lines=JUNIT_LINES, max_bytes=MAX_BYTES)
        message = message or f"{record.outcome}; see the output of {job.job_id}"
        return self._take(f"{where}\n{message}" if where else message)

    def _take(self, text: str) -> str:
        """The text, or what there is still room for."""
        size = len(text.encode("utf-8", "replace"))
        if size > self._room:
            return ""
        self._room -= size
        return text


class _Earlier:
    """What the attempts before the last, and the earlier tries of the last, say of its cases."""

    def __init__(self, job: JobView, reports: Reports, cases: Sequence[tuple[_Key, CaseRecord]]) -> None:
        self.cases = cases
        self.unexplained: list[Attempt] = []
        """Earlier attempts that did not pass, and no case tells why."""
        self._attachments: dict[_Key, Sequence[str]] = {}
        self._tries: dict[_Key, list[Try]] = {}
        self._several = len(job.attempts) > 1
        self._last = job.attempts[-1].number
        known = {key for key, _ in cases}
        for attempt in job.attempts[:-1]:
            report = reports.get(attempt.number)
            explained = False  # a case that failed is why; one that was tried twice and passed is not
            for key, record in _with_keys(report.cases if report else ()):
                if key in known and (tries := list(self._failures(record, attempt.number, last=True))):
                    self._tries.setdefault(key, []).extend(tries)
                    explained = explained or record.outcome in _WRONG
            by_test = attempt.outcome == "failed" and attempt.reason == _BY_TEST
            if attempt.outcome not in (None, "passed") and not (explained and by_test):
                self.unexplained.append(attempt)

    def tries_of(self, key: _Key, record: CaseRecord) -> Sequence[Try]:
        """The earlier tries of a case that did not pass."""
        return [*self._tries.get(key, ()), *self._failures(record, self._last, last=False)]

    def attach(self, attachments: Sequence[str]) -> None:
        """Give the files of the job to the first case that did not simply pass, else to the first."""
        bad = (key for key, case in self.cases if case.outcome in _WRONG or self.tries_of(key, case))
        self._attachments = {next(bad, self.cases[0][0]): attachments}

    def files_of(self, key: _Key) -> Sequence[str]:
        """The files that a case shows."""
        return self._attachments.get(key, ())

    def _failures(self, record: CaseRecord, attempt: int, *, last: bool) -> Iterator[Try]:
        """The tries of one attempt at a case that did not pass; `last`: with the one that counted."""
        tries = [(try_.outcome, try_.message) for try_ in record.tries]
        if not tries:
            unknown = [("failed", None)] if record.flaky else []
            tries = [*unknown, (record.outcome, record.message)]
        for number, (outcome, message) in enumerate(tries if last else tries[:-1], 1):
            if outcome not in _WRONG:
                continue
            names = [f"attempt {attempt}"] if self._several else []
            names += [f"try {number}"] if len(tries) > 1 or not self._several else []
            first = first_lines(message or "", lines=1, max_bytes=_MESSAGE_BYTES)
            details = first_lines(message or "", lines=_TRY_LINES)
            yield Try(
                failed=outcome == "failed",
                message=xml_text(first or outcome),
                type=outcome,
                text=xml_text(f"{', '.join(names)}: {outcome}" + (f"\n{details}" if details else "")),
            )


class _UniqueNames:
    """Names for cases that no reader takes for one another: those who compare runs go by class and name."""

    def __init__(self) -> None:
        self._suites: dict[tuple[str, str], str] = {}
        self._numbers: Counter[tuple[str, str]] = Counter()

    def take(self, classname: str, name: str, suite: str) -> tuple[str, str]:
        """The class and name as given, or the name with the suite or a number behind it."""
        wanted = name
        if self._suites.get((classname, name), suite) != suite:
            wanted = name = f"{name} [{xml_text(suite)}]"
        while (classname, name) in self._suites:
            self._numbers[classname, wanted] += 1
            name = f"{wanted} ({self._numbers[classname, wanted] + 1})"
        self._suites[classname, name] = suite
        return classname, name


def _begins_with_path(class_: str, file: str) -> bool:
    """Whether a class begins with the path of a file, as pytest's does."""
    path = re.escape(splitext(file)[0]).replace("/", r"[/\\.]")
    return re.match(rf"(\[[^]]*\] )?{path}(?!\w)", class_) is not None


def _with_keys(cases: Iterable[CaseRecord]) -> Iterator[tuple[_Key, CaseRecord]]:
    seen: Counter[tuple[str | None, str, str]] = Counter()
    for case in cases:
        name = (case.file, case.suite, case.name)
        yield _Key(*name, seen[name]), case
        seen[name] += 1


def _without_time_of(case: Case, others: Iterable[Case]) -> Case:
    """The case of a whole without the time of the others, which are its parts."""
    return dataclasses.replace(case, seconds=max(case.seconds - sum(one.seconds for one in others), 0.0))


def _suite(job: JobView, name: str, cases: Sequence[Case], lines: Sequence[str] = ()) -> Suite:
    started = [attempt.started_at for attempt in job.attempts if attempt.started_at is not None]
    return Suite(name, cases, min(started, default=None), job.job_id, lines)
