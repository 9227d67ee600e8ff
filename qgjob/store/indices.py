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
        keys, job = self.keys, after.job_id
        if before is None or before.order != after.order:
            self._add(keys.all_jobs, job, after.order)
            self._add(keys.of_org(after.org_id), job, after.order)
        if after.app_version_id and (
            before is None or (before.order, before.app_version_id) != (after.order, after.app_version_id)
        ):
            self._add(keys.of_version(after.app_version_id), job, after.order)
        if before is None or before.position != after.position:
            self._add(keys.run_jobs(after.run_id), job, after.position)
        if before is None or (before.state, before.order) != (after.state, after.order):
            if before is not None and before.state != after.state:
                self._remove(keys.in_state(before.state), job)
            self._add(keys.in_state(after.state), job, after.order)
        if before is None or before.waiting != after.waiting:
            if before is not None and before.waiting is not None:
                self._remove(keys.waiting(before.waiting[0]), job)
            if after.waiting is not None:
                self._add(keys.waiting(after.waiting[0]), job, after.waiting[1])
        if before is None or before.due != after.due:
            if after.due is not None:
                self._add(keys.due, job, after.due)
            elif before is not None:
                self._remove(keys.due, job)
        self._move_end(before, after)

    def forget(self, job_id: str, run_id: str, org_id: str, app_version_id: str, state: str) -> None:
        """Remove an ended job that is not kept any longer."""
        keys = self.keys
        self._remove(keys.all_jobs, job_id)
        self._remove(keys.of_org(org_id), job_id)
        if app_version_id:
            self._remove(keys.of_version(app_version_id), job_id)
        self._remove(keys.in_state(state), job_id)
        self._remove(keys.run_jobs(run_id), job_id)

    def _move_end(self, before: Footprint | None, after: Footprint) -> None:
        had = ended_member(before) if before is not None and before.ended_at is not None else None
        has = ended_member(after) if after.ended_at is not None else None
        if had is not None and had != has:
            self._remove(self.keys.ended, had)
        if has is not None and after.ended_at is not None:
            self._add(self.keys.ended, has, after.ended_at)

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
