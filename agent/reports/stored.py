"""Stores the cases of a report in the object store, within its size limit."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from agent.output.masking import Masker
from agent.reports.text import folders_of, within
from agent.runners.base import CaseResult, CaseStatus
from bus_schemas.cases import (
    MAX_CASE_CHARS,
    MAX_CASES,
    MAX_REPORT_BYTES,
    CaseOutcome,
    CaseRecord,
    CaseReport,
    CaseTry,
)
from bus_schemas.jobs import BlobRef
from bus_schemas.streams import ARTIFACT_OBJECTS
from qgjob.bus.connect import Bus
from qgjob.bus.objects import put_file

_OUTCOMES: Final[dict[CaseStatus, CaseOutcome]] = {
    CaseStatus.PASSED: "passed",
    CaseStatus.FAILED: "failed",
    CaseStatus.ERROR: "errored",
    CaseStatus.SKIPPED: "skipped",
}
_WRONG: Final = frozenset({CaseStatus.FAILED, CaseStatus.ERROR})
_NAME_CHARS: Final = 1024
_MESSAGE_BYTES: Final = MAX_REPORT_BYTES // 2
_CASE_BYTES: Final = MAX_REPORT_BYTES // 2
_FRAME_BYTES: Final = 160
"""What the keys and numbers of a case or a try take."""


def case_report(
    job_id: str,
    attempt: int,
    runner: str,
    cases: Sequence[CaseResult],
    masked: Callable[[CaseResult], CaseResult],
) -> CaseReport:
    """The cases, `masked`, within the report's limits: messages go first, then those at the end.

    Those that failed are kept before others. What there is no room for is not masked.
    """
    texts = _Texts(_MESSAGE_BYTES)
    kept: dict[int, CaseRecord] = {}
    left = _CASE_BYTES
    failed_first = sorted(range(len(cases)), key=lambda place: cases[place].status not in _WRONG)
    for place in failed_first[:MAX_CASES]:
        case = masked(cases[place])
        left -= _FRAME_BYTES * (1 + len(case.tries)) + 2 * len(
            case.class_name + case.name + (case.file or "")
        )
        if left < 0:
            break
        kept[place] = CaseRecord(
            name=case.name[:_NAME_CHARS],
            suite=case.class_name[:_NAME_CHARS],
            outcome=_OUTCOMES[case.status],
            flaky=case.flaky,
            duration_s=case.duration_s,
            message=texts.take(case.message),
            file=case.file[:_NAME_CHARS] if case.file else None,
            line=case.line,
            attempts=case.attempts,
            tries=tuple(
                CaseTry(
                    outcome=_OUTCOMES[one.status],
                    duration_s=one.duration_s,
                    message=texts.take(one.message),
                )
                for one in case.tries
            ),
        )
    return CaseReport(
        job_id=job_id,
        attempt=attempt,
        runner=runner,
        cases=tuple(kept[place] for place in sorted(kept)),
        left_out=len(cases) - len(kept),
    )


def masking(masker: Masker, bundle: Path) -> Callable[[CaseResult], CaseResult]:
    """What takes secrets out of what a case says, and names files of the bundle as the bundle does."""
    folders = folders_of(bundle)

    def told(text: str | None) -> str | None:
        return within(masker.text(text), folders) if text else text

    def masked(case: CaseResult) -> CaseResult:
        return dataclasses.replace(
            case,
            class_name=masker.text(case.class_name),
            name=masker.text(case.name),
            message=told(case.message),
            tries=tuple(dataclasses.replace(one, message=told(one.message)) for one in case.tries),
        )

    return masked


async def store_cases(bus: Bus, folder: Path, report: CaseReport) -> BlobRef:
    """Store the report; `folder` is the job's own, for the file on its way. Raises `QgjobError`."""
    data = report.encode()
    path = folder / f"cases-{secrets.token_hex(8)}.json"
    with path.open("xb") as file:  # exclusive: a test may have left a pipe there
        file.write(data)
    digest = hashlib.sha256(data).hexdigest()
    await put_file(bus, ARTIFACT_OBJECTS, path, digest)
    return BlobRef(digest=digest, size=len(data))


class _Texts:
    """Passes texts on until a budget, in bytes of JSON, is used up."""

    def __init__(self, budget: int) -> None:
        self._left = budget

    def take(self, text: str | None) -> str | None:
        if not text or self._left <= 0:
            return None
        text = text[:MAX_CASE_CHARS]
        # A line feed takes two bytes, a sign beyond ASCII up to four.
        size = len(text.encode("utf-8", "replace")) + text.count("\n") + text.count('"') + text.count("\\")
        self._left -= size
        return text if self._left >= 0 else None
