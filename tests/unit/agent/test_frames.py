"""The frames between agent and supervisor, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.supervision.frames import MAX_FRAME, FrameError, FrameReader, pack
from agent.supervision.processes import ancestors, descendants

# With lone surrogates, which stand for the bytes of names that are no UTF-8.
texts = st.text(st.characters(codec=None), max_size=12)


@given(
    said=st.lists(st.lists(texts, max_size=3), max_size=5),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_frames_survive_every_cut(said: list[list[str]], cuts: list[int]):
    frames: list[dict[str, object]] = [{"verb": "start", "argv": argv, "lease_s": None} for argv in said]
    data = b"".join(pack(frame) for frame in frames)
    reader = FrameReader()
    found: list[dict[str, object]] = []
    at = step = 0
    while at < len(data):
        size = cuts[step % len(cuts)]
        found += reader.feed(data[at : at + size])
        at += size
        step += 1
    assert found == frames


def test_a_frame_of_any_size_is_not_believed():
    with pytest.raises(FrameError):
        FrameReader().feed((MAX_FRAME + 1).to_bytes(4, "big"))


def test_descendants_and_ancestors():
    table = {2: 1, 3: 2, 4: 3, 5: 2, 6: 1, 7: 6}
    assert descendants([2], table) == {3, 4, 5}
    assert descendants([2, 6], table) == {3, 4, 5, 7}
    assert ancestors(4, table) == {3, 2, 1}


def test_a_table_with_a_circle_is_walked_once():
    # Read while pids were reused: nothing guarantees a tree.
    table = {2: 3, 3: 2}
    assert descendants([2], table) == {2, 3}
    assert ancestors(2, table) == {2, 3}
