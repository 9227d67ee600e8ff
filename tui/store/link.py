"""The state of the connection, always shown: a screen that stands still must say so."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

from tui.draw.times import age

Phase = Literal["connecting", "loading", "live", "reconnecting"]
Level = Literal["good", "busy", "bad"]

STALE_AFTER_S: Final = 5.0
BEHIND_AFTER_S: Final = 3.0
"""Figures as old as that are said to be old."""
LEADERLESS_AFTER_S: Final = 6.0
"""A leader says every two seconds how things are, and one that is lost has a successor within two."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What the header shows."""

    level: Level
    word: str
    detail: str = ""


@dataclass(slots=True)
class Link:
    """Where the feed stands; times are monotonic."""

    server: str = ""
    phase: Phase = "connecting"
    reason: str = ""
    """Why it is not live, one sentence."""
    hint: str = ""
    since: float = 0.0
    last_activity: float = 0.0
    """When the server last showed a sign of life."""
    activity_since: float = float("-inf")
    """When it showed one again after it had shown none for a while."""
    _pings: deque[float] = field(default_factory=deque[float])
    """When those were sent that are not answered yet, the oldest first."""
    _ping_took_s: float = 0.0
    """How long the last answer took."""
    ever_answered: bool = False
    """Whether the query service has ever answered."""
    snapshot_loading: bool = False
    """Whether the older jobs of a snapshot are still read: live before all of them are there."""
    query_error: str = ""
    """Set while nobody answers queries, with the reason."""
    not_allowed: bool = False
    """Whether that is because these credentials may not ask."""
    leader_seen_at: float | None = None
    """When a leader was last heard; None before the first."""
    notices: list[str] = field(default_factory=list[str])
    """Sentences to be shown once: that a gap was found, that everything was read again."""
    progress: str = ""
    """Set while something is read that takes a while: how far it is."""
    replay: str = ""
    """Set while a tape is played: where it is and how fast it goes."""
    changed: bool = True

    def set_phase(self, phase: Phase, now: float, reason: str = "", hint: str = "") -> None:
        """Go into another phase, or give another reason."""
        if phase != self.phase:
            self.since = now
        self.phase = phase
        self.reason = reason
        self.hint = hint
        if phase == "live":
            self.record_activity(now)
        self.changed = True

    def set_query_error(self, sentence: str, *, not_allowed: bool = False) -> None:
        """Why nobody answers queries; empty: somebody does."""
        self.query_error = sentence
        self.not_allowed = not_allowed
        self.changed = True

    def record_activity(self, now: float) -> None:
        """The server has just shown that it lives."""
        if now - self.last_activity >= STALE_AFTER_S:
            self.activity_since = now
        self.last_activity = now

    def record_ping(self, sent_at: float) -> None:
        """Something was sent to the server that comes back: behind all that it has for us."""
        self._pings.append(sent_at)

    def record_pong(self, sent_at: float, now: float) -> None:
        """It came back; those before it, if they are not lost, have as well."""
        self._ping_took_s = now - sent_at
        while self._pings and self._pings[0] <= sent_at:
            self._pings.popleft()

    def begin_anew(self, now: float) -> None:
        """The connection is another one: what was on its way will not come."""
        self._pings.clear()
        self._ping_took_s = 0.0
        self.activity_since = now

    def lag_s(self, now: float) -> float:
        """How old is what the server sent and now arrives, in seconds.

        Answers to pings queue up behind everything else, so this needs no comparison of clocks.
        """
        return max(self._ping_took_s, now - self._pings[0] if self._pings else 0.0)

    def behind_warning(self, now: float) -> str:
        """What there is to say while less arrives, or is read, than the lab tells; else nothing."""
        if self.phase not in {"loading", "live"} or self.replay or (lag := self.lag_s(now)) < BEHIND_AFTER_S:
            return ""
        return (
            f"What is shown is {age(lag)} old: the link, or this machine, is too slow for all that happens."
        )

    def connected_for(self, now: float) -> float:
        """For how long all that was said was heard, in seconds: who is silent for longer may have spoken."""
        if self.phase == "reconnecting" or now - self.last_activity >= STALE_AFTER_S:
            return 0.0
        return now - self.activity_since

    def record_leader(self, now: float) -> None:
        """A scheduler that leads was heard."""
        self.leader_seen_at = now

    def hears_leader(self, now: float) -> bool:
        """Whether one was heard of late: then it schedules, whatever else it cannot answer."""
        return self.leader_seen_at is not None and now - self.leader_seen_at < LEADERLESS_AFTER_S

    def leaderless_warning(self, now: float) -> str:
        """What there is to say while no scheduler is heard to lead, though the server is; else nothing.

        Nobody is asked for it: replicas that do not lead answer as well, with what they heard last.
        """
        if self.leader_seen_at is None or self.phase != "live" or self.replay:
            return ""
        silence = now - self.leader_seen_at
        if min(silence, self.connected_for(now)) < LEADERLESS_AFTER_S:
            return ""
        return f"No leading scheduler was heard for {int(silence)} s: nothing is scheduled at present."

    def age_suffix(self, now: float) -> str:
        """How old the figures are that a leader told last, as an addition; nothing while they are new."""
        if self.leader_seen_at is None or self.replay or now - self.leader_seen_at < LEADERLESS_AFTER_S:
            return ""
        return f" · {age(now - self.leader_seen_at)} ago"

    def add_notice(self, sentence: str) -> None:
        """Say something once."""
        self.notices.append(sentence)
        del self.notices[:-20]

    def status(self, now: float) -> LinkStatus:
        """What to show at this moment."""
        if self.replay:
            return LinkStatus("busy", self.replay, self.progress)
        silence = now - self.last_activity
        lasts = f"{max(0, int(now - self.since))} s"
        match self.phase:
            case "connecting":
                return LinkStatus("busy", "connecting", lasts if now - self.since >= 1 else "")
            case "reconnecting":
                return LinkStatus("bad", "reconnecting", lasts)
            case _ if silence >= STALE_AFTER_S:
                return LinkStatus("bad", f"stale for {int(silence)} s")
            case _ if self.behind_warning(now):
                return LinkStatus("bad", f"behind by {int(self.lag_s(now))} s", self.progress)
            case "loading":
                return LinkStatus("busy", "loading")
            case "live":
                if self.query_error and self.hears_leader(now):
                    return LinkStatus("bad", "no job list", self.progress)
                if self.query_error or self.leaderless_warning(now):
                    word = "not allowed" if self.not_allowed else "no scheduler"
                    return LinkStatus("bad", word, self.progress)
                return LinkStatus("good", "live", self.progress)
