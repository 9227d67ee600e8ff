"""One line of the doctor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Status = Literal["ok", "unknown", "warning", "wrong"]
_WEIGHT: Final[dict[Status, int]] = {"ok": 0, "unknown": 1, "warning": 2, "wrong": 3}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do."""

    name: str
    status: Status
    detail: str
    hint: str | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """The figures behind it, for `--json`."""


def worst(findings: Iterable[Finding]) -> Status:
    """The gravest status among them."""
    return max((finding.status for finding in findings), key=_WEIGHT.__getitem__, default="ok")
