"""How much of a run's metadata is shown, and what was stored before there were any."""

from __future__ import annotations

import json

from bus_schemas.jobs import RunMarker
from bus_schemas.streams import JOB_ROOM_BYTES
from qgjob.scheduler.backlog.runs import MAX_META_BYTES, shown_meta
from qgjob.store.documents import RunDoc


def marker(meta: dict[str, str]) -> RunMarker:
    return RunMarker(
        run_id="r_1",
        org_id="acme",
        state="complete",
        size=3,
        parts=1,
        digest="0" * 64,
        meta=meta,
        created_at=1.0,
    )


def test_all_of_them_are_shown_when_they_are_short() -> None:
    meta = {"branch": "main", "commit": "12ab", "note": "grün"}
    assert shown_meta(marker(meta)) == meta


def test_of_very_long_ones_the_first_are_shown_and_fit_however_they_are_written() -> None:
    long = {"branch": "main", **{f"k{n}": "\x01" * 4000 for n in range(100)}}
    shown = shown_meta(marker(long))
    assert shown == {"branch": "main"}
    longer = {f"k{n:03}": "x" * 1000 for n in range(100)}
    shown = shown_meta(marker(longer))
    assert list(shown) == list(longer)[: len(shown)]
    assert MAX_META_BYTES - 1100 < len(json.dumps(shown)) <= MAX_META_BYTES < JOB_ROOM_BYTES


def test_a_document_that_an_older_version_stored_has_none() -> None:
    fields = RunDoc("r_1", "acme", meta={"branch": "main"}, size=1).fields()
    stored = dict(zip(fields[::2], fields[1::2], strict=True))
    assert RunDoc.from_fields(stored).meta == {"branch": "main"}
    del stored["meta"]
    assert RunDoc.from_fields(stored).meta == {}
