"""Tells a waiting user of infrastructure errors: not the tests' fault, but they explain why nothing moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bus_schemas.queries import JobView
from qgjob.cli.display.render import where
from qgjob.domain.lifecycle import TERMINAL

_AT_MOST: Final = 20
"""So many lines; a lab that is worse off has others who look after it."""


class InfraErrors:
    """Reports each slot's infrastructure trouble once."""

    def __init__(self) -> None:
        self._reported: set[tuple[str, str]] = set()

    def new(self, jobs: Iterable[JobView]) -> Iterator[str]:
        """Lines on infrastructure errors after which a job was tried again."""
        for job in jobs:
            # How a job ended is reported with its end.
            over = job.state in TERMINAL
            tried = job.attempts[:-1] if over else job.attempts
            for attempt in tried:
                slot, trouble = where(attempt), attempt.message or (attempt.reason or "").replace("_", " ")
                if attempt.outcome != "errored" or not slot or (slot, trouble) in self._reported:
                    continue
                if len(self._reported) >= _AT_MOST:
                    return
                self._reported.add((slot, trouble))
                what = f"{slot} could not run {job.title}: {trouble[:300]}"
                yield f"{what}. It {'was' if over else 'is'} tried again, elsewhere if possible."
