"""The ring of a log's lines: nothing lost but what is dropped aloud, numbers that stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.logs import StoredChunk
from tui.draw.ansi import Look
from tui.store.log import MAX_LINE_CHARS, LogBuffer
from tui.store.log_page import LINES, LogPage


def chunk(seq: int, *texts: str, stream: str = "out", attempt: int = 1, **more: object) -> StoredChunk:
    parts = tuple((stream, text) for text in texts)
    return StoredChunk.model_validate(
        {"stream_seq": seq, "attempt": attempt, "at": 1.0, "parts": parts, **more}
    )


def lines(buffer: LogBuffer) -> list[str]:
    return [buffer.line(n).text for n in range(buffer.first, buffer.end)]


@given(st.lists(st.text(alphabet="ab\n é日", max_size=12), max_size=30))
def test_lines_are_the_same_however_they_were_cut_into_chunks(texts: list[str]) -> None:
    buffer = LogBuffer()
    for seq, text in enumerate(texts, start=1):
        buffer.add(chunk(seq, text))
    whole = "".join(texts)
    wanted = whole.split("\n")
    assert lines(buffer) == (wanted if wanted[-1] else wanted[:-1])
    buffer.close()
    assert lines(buffer) == (wanted if wanted[-1] else wanted[:-1])


@given(st.lists(st.integers(1, 20), max_size=30))
def test_a_chunk_counts_once(order: list[int]) -> None:
    buffer = LogBuffer()
    for seq in order:
        buffer.add(chunk(seq, f"line {seq}\n"))
    highest = [seq for i, seq in enumerate(order) if seq > max(order[:i], default=0)]
    assert lines(buffer) == [f"line {seq}" for seq in highest]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_old_lines_go_and_the_numbers_stay(counts: list[int]) -> None:
    buffer = LogBuffer(max_lines=256)
    written = 0
    for seq, count in enumerate(counts, start=1):
        buffer.add(chunk(seq, "".join(f"{written + i}\n" for i in range(count))))
        written += count
        assert buffer.end == written
        assert buffer.end - buffer.first <= 2 * 256 + 40
        for number in (buffer.first, buffer.end - 1):
            assert buffer.line(number).text == str(number)
    with pytest.raises(IndexError):
        buffer.line(buffer.first - 1)


def test_memory_is_bounded_by_bytes_too() -> None:
    buffer = LogBuffer(max_bytes=100_000)
    for seq in range(1, 200):
        buffer.add(chunk(seq, "x" * 1000 + "\n" * 10))
    assert buffer.bytes < 100_000 + 256 * 1000
    assert buffer.first > 0


def test_what_was_seen_is_counted_in_bytes() -> None:
    buffer = LogBuffer()
    buffer.add(chunk(1, "ü中" * 1000 + "\nplain\n"))
    assert buffer.seen_bytes == 5006 + 1


def test_a_line_of_ten_megabytes_is_continued_and_not_lost() -> None:
    buffer = LogBuffer()
    text = "0123456789" * 1_000_000
    buffer.add(chunk(1, text))
    buffer.add(chunk(2, "\nafter\n"))
    got = [buffer.line(n) for n in range(buffer.first, buffer.end)]
    assert "".join(line.text for line in got[:-1]) == text
    assert all(len(line.text) <= MAX_LINE_CHARS for line in got)
    assert not got[0].continued
    assert all(line.continued for line in got[1:-1])
    assert (got[-1].text, got[-1].continued) == ("after", False)


def test_a_cut_does_not_go_through_an_escape_sequence() -> None:
    buffer = LogBuffer()
    buffer.add(chunk(1, "x" * (MAX_LINE_CHARS - 2) + "\x1b[31mred\n"))
    assert lines(buffer) == ["x" * (MAX_LINE_CHARS - 2), "\x1b[31mred"]


def test_an_endless_progress_bar_keeps_its_last_state() -> None:
    buffer = LogBuffer()
    for seq in range(1, 400):
        buffer.add(chunk(seq, f"\r{seq:4d} of 400 " + "#" * 50))
    assert len(buffer) <= 7
    assert buffer.line(buffer.end - 1).text.endswith(f"{399:4d} of 400 " + "#" * 50)


def test_streams_are_told_apart_and_do_not_tear_each_others_lines() -> None:
    buffer = LogBuffer()
    buffer.add(chunk(1, "half a "))
    buffer.add(chunk(2, "warning\n", stream="err"))
    buffer.add(chunk(3, "line\n"))
    assert [(buffer.line(n).stream, buffer.line(n).text) for n in range(2)] == [
        ("err", "warning"),
        ("out", "half a line"),
    ]
    assert buffer.errors == 1


def test_an_unfinished_line_is_seen_already() -> None:
    buffer = LogBuffer()
    buffer.add(chunk(1, "Proceed? "))
    assert lines(buffer) == ["Proceed? "]
    buffer.add(chunk(2, "yes\n"))
    assert lines(buffer) == ["Proceed? yes"]


def test_colours_go_on_over_lines_and_end_with_the_attempt() -> None:
    buffer = LogBuffer()
    buffer.add(chunk(1, "\x1b[31mred\nstill red\n", "\x1b[0mplain\n\x1b[32m"))
    assert [buffer.line(n).look for n in range(2)] == [Look(), Look(fg=1)]
    buffer.add(chunk(2, "second try\n", attempt=2))
    assert [line for line in lines(buffer) if "attempt" in line] == ["── attempt 2 ──"]
    assert buffer.line(buffer.end - 1).look == Look()


def test_another_attempt_is_said_once() -> None:
    buffer = LogBuffer()
    buffer.add(chunk(1, "--- attempt 2, on lab-1/s0 ---\n", stream="sys", attempt=2))
    buffer.add(chunk(2, "again\n", attempt=2))
    assert lines(buffer) == ["--- attempt 2, on lab-1/s0 ---", "again"]


def test_what_the_agent_left_out_is_said() -> None:
    buffer = LogBuffer()
    buffer.add(chunk(1, "last words\n", dropped=12_345))
    assert lines(buffer) == ["… 12,345 bytes of output were left out here", "last words"]
    assert buffer.left_out == 12_345


def test_halves_of_characters_do_no_harm() -> None:
    buffer = LogBuffer()
    buffer.add(chunk(1).model_copy(update={"parts": (("out", "\ud83d broken\n"),)}))
    assert lines(buffer) == ["? broken"]


def test_full_pages_are_packed_and_read_as_they_came() -> None:
    buffer = LogBuffer()
    texts = [f"\x1b[32mINFO\x1b[0m step {n}: tapped #pay-now after {n % 90} ms" for n in range(20 * LINES)]
    for seq, text in enumerate(texts, start=1):
        stream = "err" if seq % 7 == 0 else "out"
        buffer.add(chunk(seq, text + "\n", stream=stream).model_copy(update={"at": float(seq)}))
    assert lines(buffer) == texts
    assert buffer.line(6) == (texts[6].encode(), "err", 7.0, buffer.line(6).look, False, 0)
    pages: list[LogPage] = vars(buffer)["_pages"]
    assert sum(len(page.packed) for page in pages) < buffer.bytes / 4
