"""One attempt of a job: facts that only grow, so that any order of hearing them ends alike.

Every part has a *join* that is commutative, associative and idempotent. What a later link of the
claim chain says wins by the number of takeovers, never by when it was heard.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from bus_schemas.events import Attempt, Ended, Started

PREPARING = 0
RUNNING = 1

_NO_CASES = (0, 0, 0, 0)

_T = TypeVar("_T", int, float, str)


def max_known(a: _T | None, b: _T | None) -> _T | None:
    """The larger of two values that may be missing."""
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)


class Claim(NamedTuple):
    """Which slot holds the attempt, as the chain's `started` or `taken_over` says."""

    takeovers: int
    seq: int
    """Its place in the event stream; 0 when a snapshot told it."""
    agent: str | None
    slot: str | None
    device: str | None
    started_at: float | None
    phase: int

    def join(self, other: Claim) -> Claim:
        """What both together say."""
        if self.takeovers != other.takeovers:
            return self if self.takeovers > other.takeovers else other
        return Claim(
            self.takeovers,
            max(self.seq, other.seq),
            max_known(self.agent, other.agent),
            max_known(self.slot, other.slot),
            max_known(self.device, other.device),
            max_known(self.started_at, other.started_at),
            max(self.phase, other.phase),
        )


class Run(NamedTuple):
    """That the test itself began, what had to be installed before it."""

    seq: int
    at: float | None
    installed: bool
    install_s: float | None
    takeovers: int = 0
    """Of the holder who said so: a former one may say it late."""

    def join(self, other: Run) -> Run:
        """What both together say; of two holders the later one counts."""
        if self.takeovers != other.takeovers:
            return self if self.takeovers > other.takeovers else other
        return Run(
            max(self.seq, other.seq),
            max_known(self.at, other.at),
            self.installed or other.installed,
            max_known(self.install_s, other.install_s),
            self.takeovers,
        )


class End(NamedTuple):
    """The attempt's one result. The claim chain lets one win; the order here only breaks nonsense."""

    final: bool
    state: str
    at: float
    agent: str = ""
    slot: str = ""
    device: str = ""
    started_at: float = 0.0
    running_at: float = 0.0
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    duration_s: float = 0.0
    installed: bool = False
    install_s: float = 0.0
    takeovers: int = 0
    cases: tuple[int, int, int, int] = _NO_CASES
    """Cases of the report: passed, failed, skipped, flaky."""


class AttemptFacts:
    """Everything heard of one attempt; of one that has ended its end alone, which says all of it.

    Most of 100,000 jobs have ended: what else was heard of them would be 50 MB.
    """

    __slots__ = ("cancelling", "claim", "end", "number", "run", "step")

    def __init__(self, number: int) -> None:
        self.number = number
        self.claim: Claim | None = None
        self.run: Run | None = None
        self.end: End | None = None
        self.cancelling = False
        self.step: tuple[int, str] | None = None
        """The last thing the agent said it does, and that event's place in the stream."""

    def merge_claim(self, held: Claim) -> None:
        """Hear of a link of the claim chain."""
        if self.end is not None:
            return
        self.claim = held if self.claim is None else self.claim.join(held)

    def merge_run(self, run: Run) -> None:
        """Hear that the test began."""
        if self.end is not None:
            return
        self.run = run if self.run is None else self.run.join(run)

    def merge_end(self, end: End) -> None:
        """Hear of the result."""
        if self.end is None or _rank(end) > _rank(self.end):
            self.end = end
            self.claim = self.run = self.step = None

    def merge_step(self, seq: int, step: str) -> None:
        """Hear what the agent does right now."""
        if self.end is not None:
            return
        if self.step is None or (seq, step) > self.step:
            self.step = (seq, step)

    @property
    def phase(self) -> int:
        """Whether the holder prepares or runs.

        What a former holder said does not count, which its number of takeovers tells, and in older
        messages its place in the stream.
        """
        if self.claim is None:
            return RUNNING if self.run is not None else PREPARING
        if (
            self.run is not None
            and self.run.takeovers >= self.claim.takeovers
            and self.run.seq > self.claim.seq
        ):
            return RUNNING
        return self.claim.phase

    @property
    def current_step(self) -> str:
        """What the agent said last that it does; what it said before the test began is over."""
        if self.step is None or (self.run and self.run.seq > self.step[0]):
            return ""
        return self.step[1]

    @property
    def agent(self) -> str:
        """The agent that holds or held it."""
        return (self.end.agent if self.end else "") or (self.claim.agent if self.claim else None) or ""

    @property
    def slot(self) -> str:
        """The slot, without its agent."""
        return (self.end.slot if self.end else "") or (self.claim.slot if self.claim else None) or ""

    @property
    def device(self) -> str:
        """The slot's device."""
        return (self.end.device if self.end else "") or (self.claim.device if self.claim else None) or ""

    @property
    def started_at(self) -> float | None:
        """When a slot took it."""
        return (self.end.started_at if self.end else 0) or (self.claim.started_at if self.claim else None)

    @property
    def running_at(self) -> float | None:
        """When the test began."""
        return (self.end.running_at if self.end else 0) or (self.run.at if self.run else None)

    @property
    def finished_at(self) -> float | None:
        """When it ended."""
        return self.end.at if self.end else None

    @property
    def installed(self) -> bool:
        """Whether the build had to be installed."""
        return self.end.installed if self.end else bool(self.run and self.run.installed)


def _rank(end: End) -> tuple[bool, float, str, str, str, float]:
    return (end.final, end.at, end.state, end.reason, end.message, end.started_at)


def claim_of(event: Started, seq: int) -> Claim:
    """The fact that a link of the claim chain tells."""
    phase = RUNNING if event.phase == "running" else PREPARING
    return Claim(
        event.takeovers,
        seq,
        _interned(event.agent),
        _interned(event.slot),
        _interned(event.device),
        event.at,
        phase,
    )


def end_of(event: Ended) -> End:
    """The fact that the last link tells."""
    return _end(event.result, event.state, final=event.final, at=event.at)


def facts_of(attempt: Attempt, *, phase: int, final: bool) -> AttemptFacts:
    """The facts of an attempt in a snapshot."""
    facts = AttemptFacts(attempt.number)
    if attempt.agent is not None:
        facts.merge_claim(
            Claim(
                attempt.takeovers,
                0,
                _interned(attempt.agent),
                _interned(attempt.slot),
                _interned(attempt.device),
                attempt.started_at,
                RUNNING if attempt.running_at is not None else phase,
            )
        )
    if attempt.running_at is not None or attempt.installed:
        facts.merge_run(Run(0, attempt.running_at, attempt.installed, attempt.install_s, attempt.takeovers))
    if attempt.outcome is not None:
        facts.merge_end(_end(attempt, attempt.outcome, final=final, at=attempt.finished_at or 0.0))
    return facts


def _end(result: Attempt, state: str, *, final: bool, at: float) -> End:
    cases = result.cases
    return End(
        final=final,
        state=intern(state),
        at=result.finished_at or at,
        agent=_interned(result.agent) or "",
        slot=_interned(result.slot) or "",
        device=_interned(result.device) or "",
        started_at=result.started_at or 0.0,
        running_at=result.running_at or 0.0,
        reason=_interned(result.reason) or "",
        message=result.message or "",
        exit_code=result.exit_code,
        duration_s=result.duration_s or 0.0,
        installed=result.installed,
        install_s=result.install_s or 0.0,
        takeovers=result.takeovers,
        cases=(cases.passed, cases.failed, cases.skipped, cases.flaky) if cases else _NO_CASES,
    )


def _interned(name: str | None) -> str | None:
    """A name of which there are few and that many jobs have: one copy will do."""
    return None if name is None else intern(name)
