"""Which sorted sets a job stands in, and how a change of the job moves it: pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bus_schemas.jobs import priority_class
from bus_schemas.subjects import PriorityClass
from qgjob.domain.history import JobDoc
from qgjob.domain.lifecycle import NOT_STARTED
from qgjob.store.keys import LIVE_KEPT_S, Keys

Command = list[str]
"""A command of the store with its arguments."""

_MEMBERS_A_COMMAND: Final = 1000


class Footprint(NamedTuple):
    """A job's entries in the indices."""

    job_id: str
    run_id: str
    org_id: str
    app_version_id: str
    state: str
    order: int
    position: int
    waiting: tuple[PriorityClass, float] | None
    due: float | None
    ended_at: float | None


def footprint(doc: JobDoc) -> Footprint:
    """The entries that a job should have in the indices."""
    waiting = None
    if doc.state in NOT_STARTED:
        since = max(doc.queued_at or doc.updated_at or 0.0, doc.not_before or 0.0)
        waiting = (priority_class(doc.priority), since)
    return Footprint(
        job_id=doc.job_id,
        run_id=doc.run_id,
        org_id=doc.org_id,
        app_version_id=doc.app_version_id,
        state=doc.state,
        order=doc.order,
        position=doc.position,
        waiting=waiting,
        due=(doc.not_before or 0.0) if doc.state == "scheduled" else None,
        ended_at=doc.ended_at if doc.ended else None,
    )


def ended_member(mark: Footprint) -> str:
    """An ended job's member in the index of ends, with all that is needed to delete it later."""
    return json.dumps([mark.job_id, mark.run_id, mark.org_id, mark.app_version_id, mark.state])


@dataclass(slots=True)
class IndexChanges:
    """Members to add to and to remove from sorted sets, gathered over many jobs."""

    keys: Keys
    added: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    removed: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def move(self, before: Footprint | None, after: Footprint) -> None:
        """Move a changed job; `before` None: it is in no index yet."""
        if before == after:
            return
        had = self._places(before) if before is not None else {}
        has = self._places(after)
        for place in had:
            if place not in has:
                self._remove(*place)
        for place, score in has.items():
            if had.get(place) != score:
                self._add(*place, score)

    def forget(self, job_id: str, run_id: str, org_id: str, app_version_id: str, state: str) -> None:
        """Remove an ended job that is not kept any longer."""
        mark = Footprint(job_id, run_id, org_id, app_version_id, state, 0, 0, None, None, None)
        for key, member in self._places(mark):
            self._remove(key, member)

    def _places(self, mark: Footprint) -> dict[tuple[str, str], float]:
        """The sorted sets that a job is in: by key and member, with its score there."""
        keys, job = self.keys, mark.job_id
        places: dict[tuple[str, str], float] = {
            (keys.all_jobs, job): mark.order,
            (keys.of_org(mark.org_id), job): mark.order,
            (keys.in_state(mark.state), job): mark.order,
            (keys.run_jobs(mark.run_id), job): mark.position,
        }
        if mark.app_version_id:
            places[keys.of_version(mark.app_version_id), job] = mark.order
        if mark.waiting is not None:
            level, since = mark.waiting
            places[keys.waiting(level), job] = since
        if mark.due is not None:
            places[keys.due, job] = mark.due
        if mark.ended_at is not None:
            places[keys.ended, ended_member(mark)] = mark.ended_at
        return places

    def _add(self, key: str, member: str, score: float) -> None:
        self.added.setdefault(key, {})[member] = score
        if key in self.removed:
            self.removed[key].discard(member)

    def _remove(self, key: str, member: str) -> None:
        self.removed.setdefault(key, set()).add(member)
        if key in self.added:
            self.added[key].pop(member, None)

    def commands(self, now: float) -> Iterator[Command]:
        """The commands that make these changes; each key they add to lives on for a while."""
        for key, members in self.removed.items():
            gone = list(members)
            for start in range(0, len(gone), _MEMBERS_A_COMMAND):
                yield ["ZREM", key, *gone[start : start + _MEMBERS_A_COMMAND]]
        until = str(int(now) + LIVE_KEPT_S)
        for key, scores in self.added.items():
            if not scores:
                continue
            pairs = list(scores.items())
            for start in range(0, len(pairs), _MEMBERS_A_COMMAND):
                command = ["ZADD", key]
                for member, score in pairs[start : start + _MEMBERS_A_COMMAND]:
                    command += (repr(score), member)
                yield command
            yield ["EXPIREAT", key, until]
