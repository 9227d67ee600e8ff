"""A finding: one line of `qgjob doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Status = Literal["ok", "unknown", "warning", "wrong"]
_GRAVEST_FIRST: Final[tuple[Status, ...]] = ("wrong", "warning", "unknown")


@dataclass(frozen=True, slots=True)
class Finding:
    """A check: its subject, its status, and what to do about it."""

    name: str
    status: Status
    detail: str
    hint: str | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """The figures behind it, for `--json`."""


def worst(findings: Iterable[Finding]) -> Status:
    """The gravest status among them."""
    statuses = [finding.status for finding in findings]
    for status in _GRAVEST_FIRST:
        if status in statuses:
            return status
    return "ok"
