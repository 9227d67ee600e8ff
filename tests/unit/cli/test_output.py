from __future__ import annotations

import io
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.logs import StoredChunk
from qgjob.cli.commands.logs import LogPrinter
from qgjob.cli.display.output import Output, clean, clean_log
from qgjob.clock import rfc3339


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make(*, terminal: bool = False) -> tuple[Output, io.StringIO, io.StringIO]:
    kind = Terminal if terminal else io.StringIO
    stdout, stderr = kind(), kind()
    return Output(stdout, stderr), stdout, stderr


def test_a_table_is_plain_aligned_text_where_no_terminal_is():
    out, stdout, _ = make()
    out.table(["A", "LONGER"], [["wide cell", "x"], ["y", ""]])
    assert stdout.getvalue() == "A          LONGER\nwide cell  x\ny\n"


def test_json_moves_no_cursor_and_can_be_written_whatever_it_holds():
    hostile = "\x9b2J \x7f \u202e \u2028 \ud800 \x1b[2J é"
    for encoding in ("utf-8", "ascii"):
        stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        Output(stdout, io.StringIO()).json({hostile: [hostile]})
        stdout.seek(0)
        said = stdout.read()
        assert ("é" in said) == (encoding == "utf-8")
        assert not set("\x9b\x7f\u202e\u2028\ud800\x1b") & set(said)
        assert json.loads(said) == {hostile: [hostile]}


def test_no_color_is_honoured_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out, stdout, stderr = make(terminal=True)
    out.table(["STATE"], [["failed"]], states="STATE")
    out.state_line("failed", "x")
    out.error("broken")
    assert "\x1b[3" not in stdout.getvalue()
    assert "\x1b[3" not in stderr.getvalue()


def test_an_id_stays_in_one_line_whatever_else_there_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    out, stdout, _ = make(terminal=True)
    ids = [f"j_01m8k58f3867jmzdvedd1mtn{n:02}" for n in range(3)]
    out.table(["JOB", "TEST", "WHY"], [[job_id, "tests/test_a.py " * 4, "it failed " * 20] for job_id in ids])
    assert [found for found in ids if found in stdout.getvalue()] == ids


def test_short_words_stay_whole_on_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    out, stdout, _ = make(terminal=True)
    columns = ["JOB", "STATE", "ORG", "VERSION", "PRIO", "TEST", "SLOT", "TIME", "WHY"]
    job = [
        "j_01m8mbqbvee9edm1wjnk6gccg4",
        "passed",
        "acme",
        "1.4.0",
        "5",
        "e2e/login.spec.ts",
        "local/s0",
        "2m 4s",
    ]
    out.table(columns, [[*job, ""], [*job, "exit code 3"]])
    text = stdout.getvalue()
    assert all(word in text for word in [*columns, *job[:5], *job[6:]])
    out, stdout, _ = make(terminal=True)
    out.table(columns, [[*job, ""]])
    assert "WHY" not in stdout.getvalue()  # nobody would read it, and others need the room


def test_an_error_and_its_hint_go_to_stderr():
    out, stdout, stderr = make()
    out.error("It failed.", "Do this.")
    assert stdout.getvalue() == ""
    assert stderr.getvalue() == "Error: It failed.\nDo this.\n"


def test_lines_of_others_obey_neither_a_terminal_nor_ci():
    out, stdout, stderr = make()
    out.indented("::error::no\n\n  ##[add-mask]x ##vso[task] # ## [1]\x1b[2J")
    assert stdout.getvalue().splitlines() == [
        "    │ ::error::no",
        "    │",
        "    │   # #[add-mask]x # #vso[task] # ## [1]\\x1b[2J",
    ]
    out.indented("for people", err=True)
    assert stderr.getvalue() == "    │ for people\n"
    out, stdout, _ = make(terminal=True)
    out.indented("[b]a line[/b]")
    assert "│ [b]a line[/b]" in stdout.getvalue()


def test_json_is_one_document():
    out, stdout, _ = make()
    out.json({"a": "ü\x1b"})
    assert json.loads(stdout.getvalue()) == {"a": "ü\x1b"}


@given(st.text())
def test_cleaned_text_is_one_printable_line(text: str):
    cleaned = clean(text)
    assert not [c for c in cleaned if ord(c) < 32 or 0x7F <= ord(c) < 0xA0]
    assert len(cleaned.splitlines()) <= 1


def test_a_log_on_a_terminal_keeps_colours_and_nothing_else():
    text = "\x1b[1;31mred\x1b[0m\ttab\nline\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\r\n"
    assert clean_log(text) == "\x1b[1;31mred\x1b[0m\ttab\nline\\x1b]52;c;aGk=\\x07\\x1b[2J\\x9b31m\n"


def chunk(*parts: tuple[str, str], attempt: int = 1, dropped: int = 0) -> StoredChunk:
    return StoredChunk.model_validate(
        {"stream_seq": 1, "attempt": attempt, "at": 0.0, "parts": parts, "dropped": dropped}
    )


def test_output_goes_to_stdout_as_it_is_and_the_agents_words_to_stderr():
    out, stdout, stderr = make()
    printer = LogPrinter(out)
    printer.chunk(chunk(("sys", "installing\n"), ("out", "a\x1b]52\x07\n"), ("err", "b\n")))
    printer.chunk(chunk(("out", "c"), attempt=2, dropped=9))
    printer.end()
    assert stdout.getvalue() == "a\x1b]52\x07\nb\nc"
    assert "installing" in stderr.getvalue()
    assert "attempt 2" in stderr.getvalue()
    assert "9 B were" in stderr.getvalue()


def test_that_another_attempt_begins_is_said_once():
    out, _, stderr = make()
    printer = LogPrinter(out)
    printer.chunk(chunk(("out", "a")))
    printer.chunk(chunk(("sys", "--- attempt 2, on lab-1/s0 ---\n"), ("out", "b"), attempt=2))
    printer.end()
    assert stderr.getvalue() == "[qgjob] --- attempt 2, on lab-1/s0 ---\n"


@given(st.integers(0, 20), st.integers(0, 20))
def test_an_escape_cut_in_two_is_treated_as_one(first: int, second: int):
    text = "a\x1b[31mb\x1b]52;c;x\x07\x1b[0mc\r\n"
    cuts = sorted({0, min(first, len(text)), min(second, len(text)), len(text)})
    out, stdout, _ = make(terminal=True)
    printer = LogPrinter(out)
    for start, end in pairwise(cuts):
        printer.chunk(chunk(("out", text[start:end])))
    printer.end()
    assert stdout.getvalue() == clean_log(text)


def test_times_are_rfc_3339_utc():
    assert rfc3339(1_700_000_000.1234) == "2023-11-14T22:13:20.123Z"
    assert rfc3339(None) is None
    assert rfc3339(1e30) is None


def test_an_error_shows_its_lines_one_by_one():
    out, stdout, stderr = make()
    out.error("It ended.\n  | \x1b[2Jwhy\n  | so", "Its log: x")
    assert stderr.getvalue() == "Error: It ended.\n  | \\x1b[2Jwhy\n  | so\nIts log: x\n"
    assert stdout.getvalue() == ""


def test_columns_are_aligned_by_what_a_terminal_shows():
    out, stdout, _ = make()
    out.table(["NAME", "N"], [["日本", "1"], ["é" + "e\u0301", "2"], ["abcd", "3"]])
    assert stdout.getvalue() == "NAME  N\n日本  1\n" + "é" + "e\u0301" + "    2\nabcd  3\n"
