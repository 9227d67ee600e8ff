"""What goes wrong in the lab while one waits: not the tests' fault, but it explains why nothing moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bus_schemas.events import END_STATES
from bus_schemas.requests import JobView
from qgjob.cli.render import last_attempt, where

_AT_MOST: Final = 20
"""So many lines; a lab that is worse off has others who look after it."""


class Hitches:
    """Says of each slot once what it could not do."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def new(self, jobs: Iterable[JobView]) -> Iterator[str]:
        """Lines on infrastructure errors that have come up, of jobs that are tried again."""
        for job in jobs:
            last = last_attempt(job)
            if last is None or last.outcome != "errored" or job.state in END_STATES:
                continue
            slot, trouble = where(last), last.message or (last.reason or "").replace("_", " ")
            if not slot or (slot, trouble) in self._said or len(self._said) >= _AT_MOST:
                continue
            self._said.add((slot, trouble))
            what = f"{slot} could not run {job.title}: {trouble[:300]}"
            yield f"{what}. It is tried again, elsewhere if possible."
