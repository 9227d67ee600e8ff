"""The indices move with the documents: step by step or from scratch, they say the same."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from qgjob.domain.history import JobDoc, apply
from qgjob.store.indices import Command, Footprint, IndexChanges, footprint
from qgjob.store.keys import Keys
from qgjob.store.projection import StoredEvent
from tests.support.histories import BEGIN, Ids, lifetime, queued, streams

KEYS = Keys("t:")
SortedSets = dict[str, dict[str, float]]


def carry_out(sets: SortedSets, commands: Iterable[Command]) -> None:
    for name, key, *rest in commands:
        members = sets.setdefault(key, {})
        match name:
            case "ZADD":
                members.update({m: float(s) for s, m in zip(rest[::2], rest[1::2], strict=True)})
            case "ZREM":
                for member in rest:
                    members.pop(member, None)
            case _:
                assert name == "EXPIREAT"
        if not members:
            del sets[key]


def from_scratch(docs: Iterable[JobDoc]) -> SortedSets:
    changes = IndexChanges(KEYS)
    for doc in docs:
        changes.move(None, footprint(doc))
    sets: SortedSets = {}
    carry_out(sets, changes.commands(BEGIN))
    return sets


@given(streams(), st.data())
def test_step_by_step_is_as_from_scratch(stream: list[StoredEvent], data: st.DataObject) -> None:
    docs: dict[str, JobDoc] = {}
    marks: dict[str, Footprint] = {}
    sets: SortedSets = {}
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        changes = IndexChanges(KEYS)
        for event, seq, at in stream[:size]:
            docs[event.job_id] = apply(docs.get(event.job_id), event, seq, at) or docs[event.job_id]
        for job_id, doc in docs.items():
            changes.move(marks.get(job_id), footprint(doc))
            marks[job_id] = footprint(doc)
        carry_out(sets, changes.commands(BEGIN))
        stream = stream[size:]
    assert sets == from_scratch(docs.values())


def test_an_ended_job_leaves_what_it_can_be_forgotten_by() -> None:
    doc = None
    for seq, event in enumerate(lifetime(Ids()), 1):
        doc = apply(doc, event, seq, BEGIN + seq) or doc
    assert doc is not None
    sets = from_scratch([doc])
    (member,) = sets.pop(KEYS.ended)
    changes = IndexChanges(KEYS)
    job_id, run_id, org_id, version, state = _read(member)
    changes.forget(job_id, run_id, org_id, version, state)
    carry_out(sets, changes.commands(BEGIN))
    assert sets == {}


def _read(member: str) -> list[str]:
    import json

    return json.loads(member)


def test_a_delayed_job_stands_at_the_time_it_is_due() -> None:
    doc = apply(None, queued(Ids(), not_before=BEGIN + 500), 1, BEGIN)
    assert doc is not None
    sets = from_scratch([doc])
    assert sets[KEYS.waiting("medium")] == {"j_1": BEGIN + 500}
    assert sets[KEYS.due] == {"j_1": BEGIN + 500}


def test_no_id_makes_one_key_look_like_another() -> None:
    keys = Keys()
    hostile = ["a", "a:jobs", "a:*", "é", "x" * 300, "=3A", "~", "a\nb", " "]
    made = [
        build(i)
        for i in hostile
        for build in (keys.job, keys.run, keys.run_jobs, keys.of_org, keys.of_version)
    ]
    assert len(set(made)) == len(made)
    assert keys.job("j_12") == "job:j_12"
    assert keys.agent("lab 1") == "agent:lab=201"
