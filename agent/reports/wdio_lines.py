"""Reads the output of our WebdriverIO reporter: one JSON line per event, one file per worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from agent.reports.opening import MAX_BYTES, MAX_CASES, MAX_FILES, MAX_TRIES, open_report
from agent.reports.text import file_of, message_of, name_of, seconds_of
from agent.runners.base import CaseResult, CaseStatus, CaseTry

MAX_LINE: Final = 256 * 1024

_ENDS: Final = {
    "test:pass": CaseStatus.PASSED,
    "test:fail": CaseStatus.FAILED,
    "test:retry": CaseStatus.FAILED,
    "test:pending": CaseStatus.SKIPPED,
}


@dataclass(frozen=True, slots=True)
class WdioReport:
    """The cases in order; `error` is what a worker ended with before it ran any."""

    cases: tuple[CaseResult, ...] = ()
    error: str | None = None


_Key = tuple[str, str, str, str | None]
"""The worker's capabilities, suite, name and file."""


@dataclass(slots=True)
class _Case:
    caps: str
    """Which of the configuration's capabilities: the same test runs once with each.

    Where there are several, a label stands before the suite: the browser's name, or else their number.
    """
    suite: str
    name: str
    file: str | None
    tries: list[CaseTry] = field(default_factory=list[CaseTry])
    attempts: int = 0


def read_wdio(folder: Path, *, root: Path | None = None) -> WdioReport:
    """Read all workers' files, in the order of their events. Never raises on what is in them."""
    found: dict[_Key, _Case] = {}
    error: str | None = None
    labels: dict[str, str] = {}
    running: dict[_Key, _Case] = {}
    for event in sorted(_events(folder), key=_when):
        kind = event.get("event")
        message = message_of(event.get("message"))
        if kind in ("hook:end", "runner:end"):  # no set: it may be a list itself
            error = error or (message.splitlines()[0][:500] if message else None)
        name, suite = name_of(event.get("title")), name_of(event.get("suite"))
        key = (name_of(event.get("caps")), suite, name, file_of(event.get("file"), root))
        labels[key[0]] = name_of(event.get("label")) or labels.get(key[0], "")
        if not name or (kind == "hook:end" and not message) or len(found) >= MAX_CASES:
            continue
        case = found.get(key) or _Case(*key)
        if kind == "test:start":
            running[key] = case
        elif kind == "hook:end":
            _note(found, key, case, CaseTry(status=CaseStatus.ERROR, message=message))
        elif isinstance(kind, str) and (status := _ENDS.get(kind)):
            running.pop(key, None)
            took = seconds_of(event.get("ms"), scale=0.001)
            passed = status is CaseStatus.PASSED
            one = CaseTry(status=status, duration_s=took, message=None if passed else message)
            _note(found, key, case, one)
    for key, case in running.items():
        _note(found, key, case, CaseTry(status=CaseStatus.ERROR, message="it had not ended"))
    return WdioReport(tuple(_result(case, labels[case.caps]) for case in found.values()), error)


def _note(
    found: dict[_Key, _Case],
    key: _Key,
    case: _Case,
    one: CaseTry,
) -> None:
    found[key] = case
    case.attempts += 1
    case.tries = [*case.tries[-(MAX_TRIES - 1) :], one]


def _result(case: _Case, label: str) -> CaseResult:
    last = case.tries[-1]
    return CaseResult(
        class_name=f"[{label}] {case.suite}" if label else case.suite,
        name=case.name,
        status=last.status,
        duration_s=last.duration_s,
        message=last.message,
        attempts=case.attempts,
        flaky=last.status is CaseStatus.PASSED and case.attempts > 1,
        file=case.file,
        tries=tuple(case.tries) if case.attempts > 1 else (),
    )


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    left = MAX_BYTES
    for path in sorted(folder.glob("*.jsonl"))[:MAX_FILES]:
        try:
            with open_report(path) as file:
                while left > 0 and (line := file.readline(MAX_LINE)):
                    left -= len(line)
                    if isinstance(event := _parsed(line), dict):
                        yield cast("dict[str, Any]", event)
        except OSError:
            continue


def _when(event: dict[str, Any]) -> int:
    at = event.get("at")
    return at if isinstance(at, int) else 0


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
