"""The history of each test: its last outcomes in a stream of their own, which outlives events and store.

The leader writes a record for each attempt that ended; the stream itself keeps the last of each test.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Final

from bus_schemas import streams, subjects
from bus_schemas.events import Ended
from bus_schemas.history import OUTCOMES, Learned, OutcomeRecord
from bus_schemas.tokens import decode_token
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_all
from qgjob.bus.publish import OutMsg
from qgjob.bus.topology import list_subjects
from qgjob.errors import BadMessageError
from qgjob.scheduler.dispatch.learning import KEY
from qgjob.scheduler.slices import slices

_MAX_READ: Final = 2000
_MAX_COMPARED: Final = 20_000
_COMPARED_AT_ONCE: Final = 50
_SUGGESTED: Final = 3
_MESSAGE_CHARS: Final = 300


def outcomes_of(ended: Ended) -> Iterator[OutMsg]:
    """The records that an end is worth: one, or of a shard one for each file that its report tells of."""
    if ended.state not in OUTCOMES:
        return
    result = ended.result
    shared: dict[str, Any] = {
        "org_id": ended.org_id,
        "job_id": ended.job_id,
        "run_id": ended.run_id,
        "attempt": ended.attempt,
        "app_version_id": ended.app_version_id,
        "slot": f"{result.agent}/{result.slot}" if result.agent else None,
        "at": result.finished_at or ended.at,
    }
    if ended.test:
        record = OutcomeRecord(
            test=ended.test,
            outcome=ended.state,
            duration_s=result.duration_s,
            message=result.message[:_MESSAGE_CHARS] if result.message else None,
            **shared,
        )
        yield OutMsg(subjects.history(ended.org_id, ended.test), record.encode())
    for file in result.files:
        if file.outcome == "skipped":
            continue
        record = OutcomeRecord(
            test=file.file,
            outcome=file.outcome,
            flaky=file.flaky,
            duration_s=file.duration_s,
            **shared,
        )
        yield OutMsg(subjects.history(ended.org_id, file.file), record.encode())


async def read_outcomes(bus: Bus, test: str, org_id: str | None) -> list[OutcomeRecord]:
    """What is remembered of a test, newest first, each attempt once."""
    found: dict[tuple[str, str, int], OutcomeRecord] = {}
    async for page in read_all(bus, streams.HISTORY, subjects.history(org_id, test)):
        for message in page:
            try:
                record = OutcomeRecord.decode(message.data)
            except BadMessageError:
                continue
            # A subject may be a hash; and a new leader may have told of an end once more.
            if record.test == test and org_id in {None, record.org_id}:
                found[record.org_id, record.job_id, record.attempt] = record
        if len(found) > _MAX_READ:
            break
    return sorted(found.values(), key=lambda record: record.at, reverse=True)


async def near_tests(bus: Bus, test: str, org_id: str | None) -> list[str]:
    """Tests that are remembered and whose names are like that one: its ends first, then the similar."""
    known: set[str] = set()
    for subject in await list_subjects(bus, streams.HISTORY, subjects.history_of(org_id)):
        name = decode_token(subject.rpartition(".")[2])  # a long name is a hash: it cannot be suggested
        if name is not None:
            known.add(name)
    wanted = test.casefold()
    if ends := sorted(name for name in known if wanted in name.casefold()):
        return ends[:_SUGGESTED]
    near: list[str] = []
    # All at once would take seconds, in which a leader could not renew its key.
    async for some in slices(sorted(known)[:_MAX_COMPARED], _COMPARED_AT_ONCE):
        near = difflib.get_close_matches(test, [*near, *some], n=_SUGGESTED)
    return near


async def read_durations(bus: Bus, org_id: str) -> dict[str, float]:
    """How long each test of an organisation is expected to run, as the leader last kept it."""
    stored = await kv.get(bus, streams.LEARNED_BUCKET, KEY)
    if stored is None or stored.deleted:
        return {}
    try:
        learned = Learned.decode(stored.data)
    except BadMessageError:
        return {}
    return {test: seconds for org, test, seconds, _ in learned.tests if org == org_id}
