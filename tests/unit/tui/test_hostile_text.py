"""Whatever a job writes or is called: it draws as harmless text, of exactly the width that was given."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.draw.ansi import PLAIN, Look, look_after, parse, plain
from tui.draw.clean import clean
from tui.draw.spans import changed_cells, crop, ends, fit, pad, width_of

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ud800-\udfff]")

HOSTILE = (
    "\x1b]52;c;ZXZpbA==\x07",  # writes the clipboard
    "\x1b]52;c;ZXZpbA==\x1b\\",
    "\x1b]0;a new title\x07",
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b[?1049h",  # another screen
    "\x1b[?25l",
    "\x1b[10;20Hsomewhere else",
    "\x1b[6n",  # asks the terminal, which would answer as if typed
    '\x1bP$q"p\x1b\\',
    "\x9b2J",  # the same in eight bits
    "\x9d52;c;ZXZpbA==\x9c",
    "\x1bc",  # resets the terminal
    "\x1b(0lqk",
    "\x07\x08\x7f\x00",
    "\x1b[",
    "\x1b",
    "\x1b[38;2;300;1",
    "\x1b[999999999999999m",
    "\u202egnp.exe",  # reads backwards
    "a" + "\u0301" * 50,
    "\u0301",
    "👩‍👩‍👧‍👦 ✌🏽 ❤️ 🇩🇪",
    "日本語テスト",
    "\ud83d",
    "\x1b]" * 2000,
    "\x1b[3" * 2000,
)


def hostile() -> st.SearchStrategy[str]:
    pieces = st.one_of(
        st.sampled_from(HOSTILE),
        st.text(),
        st.text(alphabet="\x1b[]0123456789;:?mHJPX\\\x07\x9b\x9c\r\t \u0301\u200d日é", max_size=20),
    )
    return st.lists(pieces, max_size=6).map("".join)


def assert_harmless(text: str) -> None:
    assert not _CONTROL.search(text), ascii(text)


@given(hostile())
def test_no_log_line_commands_the_terminal(text: str) -> None:
    for piece, look in parse(text):
        assert_harmless(piece)
        assert isinstance(look, Look)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_known_attacks(text: str) -> None:
    assert_harmless(plain(f"before{text}after"))
    assert plain(f"before{text}after").startswith("before")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_text(data: bytes) -> None:
    assert_harmless(plain(data.decode("utf-8", "replace")))
    assert_harmless(plain(data.decode("utf-8", "surrogateescape")))


@given(hostile())
def test_cleaned_text_is_harmless_and_its_width_is_known(text: str) -> None:
    cleaned = clean(text)
    assert_harmless(cleaned)
    assert cell_len(cleaned) == sum(cell_len(c) for c in cleaned)
    marks = 0
    for character in cleaned:
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        assert marks <= 3


@given(hostile(), st.integers(0, 30), st.booleans(), st.sampled_from(["start", "end", "both"]))
@example("日本語", 3, False, "end")
@example("日本語", 2, False, "start")
@example("日本語日本語", 8, False, "both")
def test_a_cell_is_exactly_as_wide_as_its_column(text: str, width: int, right: bool, kept: str) -> None:
    cell = fit(text, width, right=right, keep_end=kept == "end", keep_both=kept == "both")
    assert cell_len(cell) == width
    assert_harmless(cell)


@example((("日", ""),), 0, 1)
@given(
    st.lists(st.tuples(st.text().map(clean), st.sampled_from(["", "bold"])), max_size=5).map(tuple),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_lines_are_cropped_and_filled_to_the_cell(
    line: tuple[tuple[str, str], ...], width: int, start: int
) -> None:
    assert width_of(pad(line, width)) == width
    assert width_of(crop(line, width, start)) <= width
    assert width_of(ends(line, (("right", ""),), width)) == width


def test_the_end_of_a_path_is_kept() -> None:
    assert fit("tests/checkout/test_pay.py", 14, keep_end=True) == "…t/test_pay.py"
    assert fit("tests/日本/test_語.py", 10, keep_end=True).endswith("_語.py")


def test_names_that_differ_at_their_ends_are_told_apart() -> None:
    assert fit("rack00-m00/emulator-5554", 16, keep_both=True) == "rack00-…tor-5554"
    assert fit("1.4.0-rc1+build.00199", 8, keep_both=True) == "1.4…0199"
    assert fit("1.4.0", 8, keep_both=True) == "1.4.0   "
    assert fit("1.4.0-rc1", 5, keep_both=True) == "1.4.…"


def test_colours_are_understood() -> None:
    red = Look(fg=1)
    assert parse("a\x1b[31mb\x1b[0mc") == [("a", PLAIN), ("b", red), ("c", PLAIN)]
    assert parse("\x1b[1;38;5;200mx") == [("x", Look(fg=200, bold=True))]
    assert parse("\x1b[38;2;1;2;3;4mx") == [("x", Look(fg=(1, 2, 3), underline=True))]
    assert parse("\x1b[97;101mx\x1b[39;49my") == [("x", Look(fg=15, bg=9)), ("y", PLAIN)]
    assert parse("\x1b[mx") == [("x", PLAIN)]


def test_hidden_text_is_shown() -> None:
    assert parse("\x1b[8msecret") == [("secret", PLAIN)]


def test_a_colour_goes_on_in_the_next_line() -> None:
    assert look_after("\x1b[32mgreen", PLAIN) == Look(fg=2)
    assert parse("still green", Look(fg=2)) == [("still green", Look(fg=2))]


def test_tabs_are_filled_up_from_where_they_stand() -> None:
    assert plain("a\tb") == "a" + " " * 7 + "b"
    assert plain("\x1b[31mabc\x1b[0m\t|") == "abc" + " " * 5 + "|"


def test_what_a_progress_bar_went_back_over_is_left_out() -> None:
    assert plain("10%\r50%\r100%") == "100%"
    assert plain("done\r") == "done"
    assert parse("\x1b[31m10%\r50%") == [("50%", Look(fg=1))]


SPANS = st.tuples(st.sampled_from(["ab", "日本", "é", "━━━", "", "0"]), st.sampled_from(["", "bad"]))


@given(st.lists(SPANS, max_size=5), st.lists(SPANS, max_size=5), st.integers(0, 12))
def test_all_that_differs_is_repainted(
    old: list[tuple[str, str]], new: list[tuple[str, str]], width: int
) -> None:
    before, after = tuple(old), tuple(new)
    found = changed_cells(before, after, width)
    begin, end = found or (width, width)
    assert 0 <= begin <= end <= width

    def looks(first: int, last: int) -> list[list[tuple[str, str]]]:
        parts = [crop(pad(line, width), last - first, first) for line in (before, after)]
        return [[(char, ink) for text, ink in part for char in text] for part in parts]

    for first, last in ((0, begin), (end, width)):
        was, now = looks(first, last)
        assert was == now


def test_only_what_differs_is_repainted() -> None:
    row = (("job", "bold"), (" " * 20, ""), ("9s", "dim"), ("  ", ""))
    assert changed_cells(row, row, 40) is None
    assert changed_cells(row, (*row[:2], ("10", "dim"), row[3]), 40) == (23, 25)
    assert changed_cells(row, (*row[:2], ("10s", "dim"), row[3]), 40) == (23, 40), "all behind it moved"
