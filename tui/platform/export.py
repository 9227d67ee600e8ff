"""What a table shows, as CSV or JSON, for those who want to go on with it elsewhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, Final, Literal

from qgjob.clock import rfc3339
from tui.store.job import Job

Format = Literal["csv", "json"]
COLUMNS: Final = (
    "job_id",
    "run_id",
    "state",
    "org_id",
    "app_version_id",
    "test",
    "priority",
    "requires",
    "runner",
    "attempt",
    "slot",
    "reason",
    "message",
    "flaky",
    "created_at",
    "started_at",
    "ended_at",
)
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def export_jobs(jobs: Iterable[Job], kind: Format) -> str:
    """The jobs as a CSV table with a head, or as `{"jobs": [...]}`."""
    rows = [_row(job) for job in jobs]
    if kind == "json":
        return json.dumps({"jobs": rows}, indent=2, ensure_ascii=False) + "\n"
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return out.getvalue()


def _row(job: Job) -> dict[str, Any]:
    facts = job.find_attempt(job.attempt)
    end = facts.end if facts is not None else None
    spec = job.spec
    return {
        "job_id": job.job_id,
        "run_id": job.run_id,
        "state": job.state,
        "org_id": job.org_id,
        "app_version_id": job.app_version_id,
        "test": job.test,
        "priority": job.priority,
        "requires": list(spec.requires) if spec else [],
        "runner": spec.runner if spec else "",
        "attempt": job.attempt,
        "slot": job.slot_name,
        "reason": job.reason,
        "message": end.message if end else "",
        "flaky": job.flaky,
        "created_at": rfc3339(job.created_at) if job.created_at else None,
        "started_at": rfc3339(job.started_at) if job.started_at else None,
        "ended_at": rfc3339(job.ended_at) if job.ended_at else None,
    }


def _cell(value: Any) -> str:
    """A value for a table; what a spreadsheet would take for a formula is only text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    text = " ".join(str(v) for v in value) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return f"'{text}" if text.startswith(_FORMULAS) else text
