from __future__ import annotations

import pytest

from bus_schemas.logs import StoredChunk
from qgjob.domain.tail import last_lines

TEXTS = ["one\n", "two\nthree", " goes on\n\n", "five\nsix\n", "seven"]


def chunks(*texts: str, stream: str = "out") -> list[StoredChunk]:
    return [
        StoredChunk(stream_seq=place, attempt=1, at=1.0, parts=((stream, text),))  # pyright: ignore[reportArgumentType]
        for place, text in enumerate(texts, 1)
    ]


def text_of(some: tuple[StoredChunk, ...]) -> str:
    return "".join(text for chunk in some for _, text in chunk.parts)


@pytest.mark.parametrize("ending", ["", "\n"])
@pytest.mark.parametrize("count", range(1, 10))
def test_it_is_what_tail_prints(ending: str, count: int):
    given = chunks(*TEXTS, ending) if ending else chunks(*TEXTS)
    whole = "".join(TEXTS) + ending
    found, begun = last_lines(given, count)
    assert text_of(found) == "".join(whole.splitlines(keepends=True)[-count:])
    assert begun == (count < 7)  # what comes before the first of seven lines is not known


def test_chunks_before_its_beginning_are_left_out_and_those_behind_it_are_as_they_were():
    given = chunks(*TEXTS)
    found, _ = last_lines(given, 3)
    assert found == tuple(given[3:])
    found, _ = last_lines(given, 2)
    assert [chunk.parts for chunk in found] == [(("out", "six\n"),), (("out", "seven"),)]


def test_words_of_the_agent_are_kept_and_not_counted():
    given = [*chunks("a\n", "b\n"), *chunks("--- it ended\n--- now\n", stream="sys")]
    assert text_of(last_lines(given, 1)[0]) == "b\n--- it ended\n--- now\n"
    assert last_lines(given[2:], 1) == (tuple(given[2:]), False)


def test_what_was_left_out_before_its_beginning_is_not_told():
    given = [
        *chunks("a\n"),
        StoredChunk(stream_seq=2, attempt=1, at=1.0, parts=(("out", "b\nc\n"),), dropped=9),
    ]
    assert [chunk.dropped for chunk in last_lines(given, 1)[0]] == [0]
    assert [chunk.dropped for chunk in last_lines(given, 3)[0]] == [0, 9]


def test_nothing_has_no_lines():
    assert last_lines([], 5) == ((), False)
