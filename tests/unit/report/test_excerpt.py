"""Few lines that say why: bounded, and harmless whatever they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.cases import CaseRecord
from qgjob.report.excerpt import excerpt, last_lines


@given(st.text() | st.text("\x1b[31m\r\n x€"), st.integers(1, 5), st.integers(1, 60))
def test_it_is_never_more_than_was_asked_for(output: str, lines: int, max_bytes: int):
    cases = [CaseRecord(name="a", outcome="failed", message=output[:4000])]
    for shown in (last_lines(output, lines=lines, max_bytes=max_bytes), excerpt(cases, "", lines=lines)):
        assert shown.count("\n") < lines
        assert not {"\x1b", "\r", "\0"} & set(shown)
    assert len(last_lines(output, lines=lines, max_bytes=max_bytes).encode()) <= max_bytes


def test_the_last_lines_are_those_that_a_terminal_shows():
    output = "first\n 1%\r 50%\r100%\r\n\n\x1b[1mend\x1b[0m\t!\n \n"
    assert last_lines(output, lines=9) == "first\n100%\n\nend\t!"
    assert last_lines(output, lines=2) == "end\t!"
    assert last_lines("", lines=2) == ""


def test_a_line_without_end_is_cut_and_does_not_hide_the_others():
    shown = last_lines("x" * 5000 + "\nlast", lines=5).split("\n")
    assert (len(shown[0]), shown[0][-1], shown[1]) == (1000, "…", "last")


def test_failed_cases_go_before_the_output():
    cases = [
        CaseRecord(name="fine", outcome="passed", message="never shown"),
        CaseRecord(name="one", outcome="failed", message="m1\nm2", file="a.py", line=7),
        CaseRecord(name="two", suite="s", outcome="errored", message="m3"),
    ]
    assert excerpt(cases, "out", lines=9) == "one (a.py:7)\n  m1\n  m2\n\ns › two\n  m3"
    assert excerpt(cases[:1], "out", lines=9) == "out"
