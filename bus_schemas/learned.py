"""What the scheduler has learned of durations, kept so that a new leader need not learn it again."""

from __future__ import annotations

from bus_schemas.base import Count, Message, Seconds, Timestamp


class Learned(Message):
    """Weighted means with how many samples they stand on, in the bucket `qg_learned`."""

    at: Timestamp
    tests: tuple[tuple[str, str, Seconds, Count], ...] = ()
    """(organisation, test, seconds, samples)."""
    installs: tuple[tuple[str, str, Seconds, Count], ...] = ()
    """(organisation, build, seconds, samples)."""
    any_install: tuple[Seconds, Count] | None = None
