"""Of a long log the end is kept, and what is left out is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.output.log_tail import LogTail


@given(
    pieces=st.lists(
        st.tuples(st.sampled_from(["out", "err"]), st.binary(min_size=1, max_size=30)), max_size=30
    ),
    limit=st.integers(1, 100),
)
def test_the_newest_bytes_stay_and_the_others_are_counted(
    pieces: list[tuple[str, bytes]], limit: int
) -> None:
    tail: LogTail[str] = LogTail(limit)
    pieces = [(name, data.replace(b"\n", b".").replace(b"\x80", b"x")) for name, data in pieces]
    for name, data in pieces:
        tail.add(name, bytes(byte & 0x7F for byte in data).replace(b"\n", b"."))
    whole = "".join(bytes(byte & 0x7F for byte in data).replace(b"\n", b".").decode() for _, data in pieces)
    kept = "".join(text for _, text in tail.take())
    assert whole.endswith(kept)
    assert tail.dropped == len(whole) - len(kept)
    assert len(kept) == min(len(whole), limit)


def test_a_cut_tail_begins_with_a_whole_line() -> None:
    tail: LogTail[str] = LogTail(12)
    tail.add("out", b"first line\nsecond\nthird\n")
    assert tail.take() == [("out", "third\n")]
    assert tail.dropped == 18


def test_streams_stay_apart_and_in_order() -> None:
    tail: LogTail[str] = LogTail(100)
    for name, data in (("out", b"a"), ("out", b"\xc3"), ("out", b"\xa4"), ("err", b"b"), ("out", b"c")):
        tail.add(name, data)
    assert tail.take() == [("out", "aä"), ("err", "b"), ("out", "c")]
