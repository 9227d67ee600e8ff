"""Reads Playwright's JSON report, which lists every try of every case."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from agent.reports.opening import MAX_BYTES, MAX_CASES, MAX_DEPTH, MAX_TRIES, open_report
from agent.reports.text import file_of, line_of, message_of, name_of, seconds_of
from agent.runners.base import CaseResult, CaseStatus, CaseTry
from qgjob.domain.wording import show_size

_RESULTS: Final = {
    "passed": CaseStatus.PASSED,
    "failed": CaseStatus.FAILED,
    "timedOut": CaseStatus.FAILED,
    "interrupted": CaseStatus.ERROR,
    "skipped": CaseStatus.SKIPPED,
}


@dataclass(frozen=True, slots=True)
class PlaywrightReport:
    """The cases in order; `error` is what kept Playwright from running anything, in its first line."""

    cases: tuple[CaseResult, ...] = ()
    error: str | None = None
    problem: str | None = None
    """Why the report could not be read, or not to its end."""


def read_playwright(path: Path, *, root: Path | None = None) -> PlaywrightReport | None:
    """Read the report at `path`; None when there is none. Never raises on what is in the file.

    Files of cases are given relative to `root` where they lie in it.
    """
    try:
        with open_report(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return PlaywrightReport(problem=f"the JSON report cannot be read: {error.strerror}")
    if len(data) > MAX_BYTES:
        return PlaywrightReport(problem=f"the JSON report is larger than {show_size(MAX_BYTES)}")
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        return PlaywrightReport(problem=f"the JSON report is no whole JSON document: {str(error)[:200]}")
    if not isinstance(document, dict):
        return PlaywrightReport(problem="the JSON report is no object")
    return _Reader(cast("dict[str, Any]", document), root).read()


class _Reader:
    def __init__(self, document: dict[str, Any], root: Path | None) -> None:
        self._document = document
        self._root = root
        config = _object(document.get("config"))
        folder = config.get("rootDir")
        self._tests_folder = folder if isinstance(folder, str) else ""
        projects = {name_of(_object(p).get("name")) for p in _list(config.get("projects"))}
        self._several_projects = len(projects) > 1
        self._cases: list[CaseResult] = []
        self._problem: str | None = None

    def read(self) -> PlaywrightReport:
        for suite in _list(self._document.get("suites")):
            self._suite(_object(suite), (), 0)
        return PlaywrightReport(tuple(self._cases), self._first_error(), self._problem)

    def _suite(self, suite: dict[str, Any], titles: tuple[str, ...], depth: int) -> None:
        if depth > MAX_DEPTH:
            self._problem = f"the JSON report is nested deeper than {MAX_DEPTH}"
            return
        title = name_of(suite.get("title"))
        titles = (*titles, title) if title else titles
        for spec in _list(suite.get("specs")):
            self._spec(_object(spec), titles)
        for inner in _list(suite.get("suites")):
            self._suite(_object(inner), titles, depth + 1)

    def _spec(self, spec: dict[str, Any], titles: tuple[str, ...]) -> None:
        for item in _list(spec.get("tests")):
            if len(self._cases) >= MAX_CASES:
                self._problem = f"the JSON report has more than {MAX_CASES} cases"
                return
            test = _object(item)
            # The first title is the file's; those between it and the case are of its groups.
            groups, name = titles[1:], name_of(spec.get("title"))
            project = name_of(test.get("projectName")) if self._several_projects else ""
            class_name = titles[0] if titles else ""
            self._cases.append(
                self._case(
                    test,
                    class_name=f"[{project}] {class_name}" if project else class_name,
                    name=" › ".join((*groups, name))[:1024],
                    file=self._file(spec.get("file")),
                    line=line_of(spec.get("line")),
                )
            )

    def _case(
        self, test: dict[str, Any], *, class_name: str, name: str, file: str | None, line: int | None
    ) -> CaseResult:
        results = [_object(result) for result in _list(test.get("results"))]
        tries = tuple(_try(result, test) for result in results[-MAX_TRIES:])
        status = _status(test.get("status"), tries)
        last = tries[-1] if tries else CaseTry(status=status)
        passed = status is CaseStatus.PASSED
        return CaseResult(
            class_name=class_name,
            name=name,
            status=status,
            duration_s=last.duration_s,
            message=None if passed else _reason(last, test),
            attempts=max(1, len(results)),
            flaky=test.get("status") == "flaky",
            file=file,
            line=line,
            tries=tries if len(tries) > 1 else (),
        )

    def _file(self, value: Any) -> str | None:
        if isinstance(value, str) and self._tests_folder and not value.startswith("/"):
            value = f"{self._tests_folder}/{value}"
        return file_of(value, self._root)

    def _first_error(self) -> str | None:
        for error in _list(self._document.get("errors")):
            if message := message_of(_object(error).get("message")):
                return message.splitlines()[0][:500]
        return None


def _try(result: dict[str, Any], test: dict[str, Any]) -> CaseTry:
    found = result.get("status")
    status = _RESULTS.get(found, CaseStatus.ERROR) if isinstance(found, str) else CaseStatus.ERROR
    if found == test.get("expectedStatus") and status is not CaseStatus.SKIPPED:
        status = CaseStatus.PASSED  # a test that is marked as failing, and does
    elif status is CaseStatus.PASSED and test.get("expectedStatus") == "failed":
        status = CaseStatus.FAILED  # one that is marked so, and passes
    errors = [_object(error) for error in _list(result.get("errors"))] or [_object(result.get("error"))]
    message = next((text for error in errors if (text := message_of(error.get("message")))), None)
    if status is CaseStatus.FAILED and message is None and found == "passed":
        message = "expected to fail, but passed"
    return CaseTry(
        status=status,
        duration_s=seconds_of(result.get("duration"), scale=0.001),
        message=None if status is CaseStatus.PASSED else message,
    )


def _status(word: Any, tries: tuple[CaseTry, ...]) -> CaseStatus:
    if word in ("expected", "flaky"):  # no set: it may be a list itself
        return CaseStatus.PASSED
    if word == "skipped":
        # Also what was not run any more when the run was interrupted.
        ran = tries and tries[-1].status is not CaseStatus.SKIPPED
        return tries[-1].status if ran else CaseStatus.SKIPPED
    return CaseStatus.ERROR if tries and tries[-1].status is CaseStatus.ERROR else CaseStatus.FAILED


def _reason(last: CaseTry, test: dict[str, Any]) -> str | None:
    if last.message:
        return last.message
    for note in _list(test.get("annotations")):
        if text := message_of(_object(note).get("description")):
            return text
    return None


def _list(value: Any) -> Iterator[Any]:
    return iter(cast("list[Any]", value)) if isinstance(value, list) else iter(())


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
