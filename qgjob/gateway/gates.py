"""The rate limits in force: what each lets through, the text of a refusal, and how many were refused."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, Literal

from qgjob.clock import Clock, rfc3339
from qgjob.domain.durations import show_duration
from qgjob.errors import RefusedError
from qgjob.gateway.limits import Buckets, Rate, retry_after

log = logging.getLogger(__name__)

Kind = Literal["requests", "jobs"]
_SAY_EVERY_S: Final = 60.0
_HINTS: Final[dict[Kind, str]] = {
    "requests": "One GET /api/jobs/{run} tells of all jobs of a run; `curl --retry` waits as it is told.",
    "jobs": "Submit it again then: of what was refused nothing is stored.",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate limit for each caller, and where it was set."""

    rate: Rate
    set_by: str


class TooOftenError(RefusedError):
    """Over a rate limit: which one it is, and when to come again."""

    def __init__(self, message: str, hint: str, *, wait: float, now: float, limit: dict[str, object]) -> None:
        """`wait`: in seconds; `now`: since 1970."""
        self.retry_after_s = retry_after(wait)
        seconds = self.retry_after_s
        pause = f"{seconds} s" if seconds < 60 else show_duration(seconds)
        super().__init__(f"{message}: come again in {pause}.", hint=hint)
        self.retry_at = rfc3339(now + self.retry_after_s)
        self.limit = limit


@dataclass(slots=True)
class Gate:
    """A limit, or none, on requests by address or on jobs by organisation."""

    kind: Kind
    limit: Limit | None
    clock: Clock
    refused: int = 0
    """How often somebody was refused."""
    _buckets: Buckets | None = field(init=False, default=None)
    _said_at: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        if self.limit is not None:
            self._buckets = Buckets(self.limit.rate)

    def admit(self, caller: str, count: int = 1) -> None:
        """Let it through, or raise `TooOftenError`."""
        if self.limit is None or self._buckets is None:
            return
        now = self.clock.monotonic()
        wait = self._buckets.take(caller, now, count)
        if not wait:
            return
        self.refused += 1
        error = self._refusal(self.limit, caller, wait)
        if now - self._said_at >= _SAY_EVERY_S:  # a line for each would be a flood of its own
            self._said_at = now
            log.warning("refused, as %s says: %s", self.limit.set_by, error.message)
        raise error

    @contextlib.contextmanager
    def admitted(self, caller: str, count: int) -> Generator[Charge]:
        """The same for the time of a block; what ends with an error, or is cancelled, counts for nothing."""
        self.admit(caller, count)
        charge = Charge()
        try:
            yield charge
        except Exception:
            charge.cancel()
            raise
        finally:
            if charge.cancelled and self._buckets is not None:
                self._buckets.give_back(caller, count)

    def _refusal(self, limit: Limit, caller: str, wait: float) -> TooOftenError:
        rate = limit.rate
        if self.kind == "requests":
            said = f"{caller} asks more often than {rate.per_s:g} times a second, or {rate.burst:,} at once"
            facts: dict[str, object] = {"per_second": rate.per_s}
        else:
            said = f"{caller} submits more than {rate.burst:,} jobs a minute"
            facts = {"per_minute": rate.burst}
        facts = {"name": self.kind, "of": caller, **facts, "burst": rate.burst, "set_by": limit.set_by}
        return TooOftenError(said, _HINTS[self.kind], wait=wait, now=self.clock.now(), limit=facts)


@dataclass(frozen=True, slots=True)
class Gates:
    """All gates of a gateway."""

    requests: Gate
    """By address."""
    jobs: Gate
    """By organisation."""

    def refused(self) -> dict[str, int]:
        """How often each refused somebody."""
        return {gate.kind: gate.refused for gate in (self.requests, self.jobs)}


@dataclass(slots=True)
class Charge:
    """Tokens taken out of a bucket."""

    cancelled: bool = False

    def cancel(self) -> None:
        """Give the tokens back: the request came to nothing."""
        self.cancelled = True
