"""Ids survive the way into subjects and back, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas import subjects
from bus_schemas.tokens import decode_token, encode_token, short_hash

HOSTILE = [
    "v1.2.3",
    "a b",
    "*",
    ">",
    "a/b",
    "ünïcode",
    "日本語",
    "a=2E",
    "~abc",
    "$JS",
    "\t\n",
    "=",
    "a" * 64,
    "-",
    "_",
]
ids = st.text(min_size=1, max_size=220)


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_ids_come_back(value: str) -> None:
    token = encode_token(value)
    assert not set(token) & set(" .*>\t\r\n")
    assert decode_token(token) == value


def test_plain_ids_stay_readable() -> None:
    assert encode_token("v1_0-rc") == "v1_0-rc"


def test_long_ids_are_hashed_and_only_the_payload_knows_them() -> None:
    token = encode_token("x" * 200)
    assert len(token) == 41
    assert decode_token(token) is None
    assert token != encode_token("x" * 199 + "y")


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        encode_token("")


@given(ids)
def test_every_id_makes_one_short_token(value: str) -> None:
    token = encode_token(value)
    assert token
    assert token.isascii()
    assert len(token) <= 192
    assert not set(token) & set(" .*>\t\r\n\0")
    assert decode_token(token) in {value, None}


@given(ids, ids)
def test_different_ids_never_meet(one: str, other: str) -> None:
    assert (encode_token(one) == encode_token(other)) == (one == other)


@given(st.lists(ids, min_size=1, max_size=4), st.lists(ids, min_size=1, max_size=4))
def test_hashes_of_several_ids_keep_their_borders(one: list[str], other: list[str]) -> None:
    assert (short_hash(*one) == short_hash(*other)) == (one == other)


@given(ids, ids, ids, ids, st.integers(1, 999))
def test_subjects_are_read_back(org: str, run: str, app: str, job: str, attempt: int) -> None:
    def known(value: str) -> str | None:
        return decode_token(encode_token(value))

    assert subjects.parse_job(subjects.job("high", org, job)) == ("high", known(org), known(job))
    for subject in (subjects.event(org, run, job, attempt, "state"), subjects.work("a+b", org, app, job)):
        assert len(subject.encode()) < 1024


@pytest.mark.parametrize(
    "subject", ["qg.work.fence", "qg.jobs.run.a.b", "qg.jobs.urgent.a.b", "qg.events.a", "nonsense", ""]
)
def test_what_is_no_such_subject_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        subjects.parse_job(subject)


def test_a_fence_and_a_marker_match_no_consumer() -> None:
    assert subjects.WORK_FENCE.count(".") != subjects.work("a", "b", "c", "d").count(".")
    assert not subjects.run_marker("o", "r").startswith(
        tuple(f"qg.jobs.{c}." for c in subjects.PRIORITY_CLASSES)
    )
