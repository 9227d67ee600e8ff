"""Reads JUnit reports, which are not trusted: tests write them.

The dialects read: pytest (and its reruns, which are repeated test cases), surefire and Playwright with
retries (`flakyFailure`, `rerunFailure` inside one case), WebdriverIO (a failed attempt is a skipped case
before the one that counts), Maestro, jest-junit. Totals that a report gives of itself are not looked at.

Document types are refused, so entities cannot be defined; file size, depth, cases and texts are bounded.
What was read before a report broke off is kept, with a sentence about what is wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.parsers import expat

from agent.reports.opening import MAX_BYTES, MAX_CASES, MAX_DEPTH, MAX_FILES, MAX_TRIES, open_report
from agent.reports.text import MAX_MESSAGE, MAX_NAME, file_of, line_of, message_of, name_of, seconds_of
from agent.runners.base import CaseResult, CaseStatus, CaseTry
from qgjob.domain.wording import first_of, show_size

_CHUNK = 1 << 16
_STATUSES = {"failure": CaseStatus.FAILED, "error": CaseStatus.ERROR, "skipped": CaseStatus.SKIPPED}
_NOT_COLLECTED = "collection failure"
"""All that pytest says of a file that it could not import; why stands at the end of the text."""
_EARLIER_ATTEMPTS = {"flakyFailure", "flakyError", "rerunFailure", "rerunError"}


@dataclass(frozen=True, slots=True)
class JUnitReport:
    """The cases of a report, each once, in order; `problem` says why it could not be read to its end."""

    cases: tuple[CaseResult, ...] = ()
    problem: str | None = None


def read_junit(
    path: Path, *, repeats_are_reruns: bool = False, first_line: int = 1, root: Path | None = None
) -> JUnitReport | None:
    """Read the report at `path`; None when there is none. Never raises on what is in the file.

    `first_line` is the number that its writer gives a file's first line (pytest's is 0). Files of cases are
    given relative to `root` where they lie in it.

    With `repeats_are_reruns` a case that stands there twice, passed both times, is flaky:
    pytest-rerunfailures writes a failed try as if it had passed. Elsewhere it is two cases of one name.
    """
    try:
        with open_report(path) as file:
            attempts, problem = _parse(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        return JUnitReport(problem=f"the JUnit report cannot be read: {error.strerror}")
    for attempt in attempts:
        attempt.file = file_of(attempt.file, root)
        attempt.line = line_of(attempt.line + 1 - first_line) if attempt.line is not None else None
    return JUnitReport(_merge(attempts, repeats_are_reruns=repeats_are_reruns), problem)


def read_junits(path: Path, *, root: Path | None = None) -> JUnitReport | None:
    """Read the report at `path` and all others (`*.xml`) in its folder; None when there is none.

    Some tools write a file for each class or worker. A case is another one in each file.
    """
    others = sorted(found for found in path.parent.glob("*.xml") if found != path)
    cases: list[CaseResult] = []
    problems: list[str] = []
    unread: list[str] = []
    found, left = False, MAX_BYTES
    for one in (path, *others[:MAX_FILES]):
        with contextlib.suppress(OSError):
            size = one.stat().st_size
            if one != path and (size > left or len(cases) >= MAX_CASES):
                unread.append(one.name)
                continue
            left -= size
        report = read_junit(one, root=root)
        if report is None:
            continue
        found = True
        cases += report.cases
        if report.problem:
            problems.append(report.problem if one == path else f"{one.name}: {report.problem}")
    # What was left out goes first, as only three sentences are told.
    if len(cases) > MAX_CASES:
        problems.insert(0, f"of {len(cases)} cases in the JUnit reports {MAX_CASES} were kept")
    if unread:
        bounds = f"{show_size(MAX_BYTES)} and {MAX_CASES} cases"
        problems.insert(
            0, f"of the JUnit reports {first_of(unread, 1)} not read: together they may have {bounds}"
        )
    if len(others) > MAX_FILES:
        problems.append(f"of {len(others) + 1} JUnit reports {MAX_FILES + 1} were looked at")
    if not found and not problems:
        return None
    return JUnitReport(tuple(cases[:MAX_CASES]), "; ".join(problems[:3]) or None)


class _RefusedError(Exception):
    pass


@dataclass(slots=True)
class _Attempt:
    """A test case as it stands in the file."""

    host: str
    class_name: str
    name: str
    duration_s: float
    status: CaseStatus = CaseStatus.PASSED
    message: str = ""
    text: list[str] = field(default_factory=list[str])
    file: str | None = None
    line: int | None = None
    earlier: list[CaseTry] = field(default_factory=list[CaseTry])


def _parse(file: IO[bytes]) -> tuple[list[_Attempt], str | None]:
    reader = _Reader()
    problem = None
    taken = 0
    try:
        while data := file.read(_CHUNK):
            taken += len(data)
            if taken > MAX_BYTES:
                raise _RefusedError(f"it is larger than {show_size(MAX_BYTES)}")
            reader.parser.Parse(data, False)
        reader.parser.Parse(b"", True)
    except _RefusedError as error:
        problem = f"the JUnit report was not read to its end: {error}"
    except (expat.ExpatError, ValueError, LookupError) as error:
        problem = f"the JUnit report is no whole XML document: {error}"
    return reader.attempts, problem


class _Reader:
    """Collects test cases from the parser's events."""

    def __init__(self) -> None:
        self.attempts: list[_Attempt] = []
        self._depth = 0
        self._hosts: list[str] = []
        self._case: _Attempt | None = None
        self._outcome_depth: int | None = None
        self._text_left = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _doctype(self, _name: str, _system: str | None, _public: str | None, _subset: int) -> None:
        raise _RefusedError("it declares a document type")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _RefusedError(f"it is nested deeper than {MAX_DEPTH}")
        case = self._case
        if tag == "testsuite":
            inherited = self._hosts[-1] if self._hosts else ""
            self._hosts.append(attributes.get("hostname", inherited)[:MAX_NAME])
        elif tag == "testcase" and case is None:
            if len(self.attempts) >= MAX_CASES:
                raise _RefusedError(f"it has more than {MAX_CASES} test cases")
            self._case = _Attempt(
                host=name_of(self._hosts[-1]) if self._hosts else "",
                class_name=name_of(attributes.get("classname", "")),
                name=name_of(attributes.get("name", "")),
                duration_s=seconds_of(attributes.get("time", "0")),
                file=attributes.get("file", "")[: 4 * MAX_NAME],
                line=_number(attributes.get("line") or attributes.get("lineno")),
            )
        elif case is not None and tag in _EARLIER_ATTEMPTS:
            error = tag.endswith("Error")
            message = message_of(attributes.get("message"))
            if len(case.earlier) < MAX_TRIES:
                status = CaseStatus.ERROR if error else CaseStatus.FAILED
                case.earlier.append(CaseTry(status=status, message=message))
        elif case is not None and tag in _STATUSES and self._outcome_depth is None:
            # A failure outweighs an error in teardown, which pytest adds to the same case.
            if case.status is not CaseStatus.FAILED:
                case.status = _STATUSES[tag]
                case.message = attributes.get("message", "")
                case.text.clear()
                self._text_left = MAX_MESSAGE
            self._outcome_depth = self._depth

    def _end(self, tag: str) -> None:
        if self._outcome_depth == self._depth:
            self._outcome_depth = None
            self._text_left = 0
        if tag == "testcase" and self._case is not None:
            # An interrupted pytest writes a case without a name for the test that it was in.
            if self._case.name or self._case.class_name:
                self.attempts.append(self._case)
            self._case = None
        elif tag == "testsuite" and self._hosts:
            self._hosts.pop()
        self._depth -= 1

    def _characters(self, text: str) -> None:
        if self._case is None or self._text_left <= 0:
            return
        if self._case.message == _NOT_COLLECTED:
            self._case.text = [("".join(self._case.text) + text)[-MAX_MESSAGE:]]
        else:
            self._case.text.append(text[: self._text_left])
            self._text_left -= len(text)


def _merge(attempts: list[_Attempt], *, repeats_are_reruns: bool) -> tuple[CaseResult, ...]:
    """One result a case: repeated ones are attempts, of which the last counts."""
    several_hosts = len({attempt.host for attempt in attempts}) > 1
    merged: dict[tuple[str, str, str], CaseResult] = {}
    for attempt in attempts:
        key = (attempt.host, attempt.class_name, attempt.name)
        # Playwright gives its projects as hosts: the same test may stand once for each.
        host = f"[{attempt.host}] " if several_hosts and attempt.host else ""
        passed = attempt.status is CaseStatus.PASSED
        last = CaseTry(
            status=attempt.status,
            duration_s=attempt.duration_s,
            message=None if passed else _message(attempt),
        )
        case = CaseResult(
            class_name=host + attempt.class_name,
            name=attempt.name,
            status=attempt.status,
            duration_s=attempt.duration_s,
            message=last.message,
            attempts=1 + len(attempt.earlier),
            flaky=passed and bool(attempt.earlier),
            file=attempt.file,
            line=attempt.line,
            tries=(*attempt.earlier, last) if attempt.earlier else (),
        )
        before = merged.pop(key, None)
        merged[key] = case if before is None else _with_earlier(case, before, repeats_are_reruns)
    return tuple(merged.values())


def _with_earlier(case: CaseResult, before: CaseResult, repeats_are_reruns: bool) -> CaseResult:
    failed = {CaseStatus.FAILED, CaseStatus.ERROR}
    if before.status in failed and (case.message or "").startswith("failed on teardown"):
        # pytest's: the same attempt failed, and then failed again while clearing up.
        return before
    did_not_pass = before.flaky or repeats_are_reruns or before.status is not CaseStatus.PASSED
    return dataclasses.replace(
        case,
        attempts=case.attempts + before.attempts,
        flaky=case.flaky or (case.status is CaseStatus.PASSED and did_not_pass),
        tries=(*_tries(before), *_tries(case))[-MAX_TRIES:],
    )


def _tries(case: CaseResult) -> tuple[CaseTry, ...]:
    return case.tries or (CaseTry(status=case.status, duration_s=case.duration_s, message=case.message),)


def _message(attempt: _Attempt) -> str | None:
    if attempt.message == _NOT_COLLECTED and (raised := _raised("".join(attempt.text))):
        return message_of(raised)
    return message_of(attempt.message) or message_of("".join(attempt.text))


def _raised(text: str) -> str:
    """What was raised, then what pytest shows of it: its lines begin with an E, else it is all there is."""
    lines = [line[1:].removeprefix("   ") for line in text.splitlines() if line.startswith("E ")]
    lines = lines or text.strip().splitlines()
    return "\n".join((lines[-1].strip(), *lines[:-1])) if lines else ""


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 9 else None
