from __future__ import annotations

import os
from pathlib import Path

import pytest

from qgjob.cli import values
from qgjob.cli.options import lines_or_words
from qgjob.errors import ExitCode, UsageError


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("10", 10), (" 7 ", 7), ("high", 9), ("Medium", 5), ("low", 2)]
)
def test_priorities(text: str, number: int):
    assert values.priority(text) == number


@pytest.mark.parametrize("text", ["0", "11", "-1", "5.5", "", "urgent", "٣", "1" * 5000, "1_0"])
def test_wrong_priorities_are_named(text: str):
    with pytest.raises(UsageError, match="whole number from 1") as caught:
        values.priority(text)
    assert caught.value.exit_code == ExitCode.USAGE


def test_targets():
    assert values.target(None) is None
    assert values.target("device") == "device"
    for wrong in ("", "phone", "Device"):
        with pytest.raises(UsageError, match="emulator, device, simulator"):
            values.target(wrong)


def test_labels_keep_their_order_and_come_once():
    assert values.labels(["b", "a", "b"]) == ("b", "a")
    assert values.label_list("--labels", " a, b ,,c") == ("a", "b", "c")
    for wrong in ("", "Upper", "Serial:R58M", "a b", "-x", "x" * 65, "a\n", "a:R58M\n"):
        with pytest.raises(UsageError, match="--require"):
            values.labels([wrong])


def test_behind_a_colon_a_label_keeps_its_case():
    assert values.labels(["serial:R58M", "lab/rack:A:b"]) == ("serial:R58M", "lab/rack:A:b")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200)])
def test_durations(text: str, seconds: float):
    assert values.duration("--timeout", text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "15 m", "1w", "nan", "inf", "8d"])
def test_a_wrong_duration_names_its_option(text: str):
    with pytest.raises(UsageError, match="--timeout"):
        values.duration("--timeout", text)


def test_grace_may_be_off_or_nothing():
    assert values.grace("off") is None
    assert values.grace("0") == 0
    assert values.grace("60s") == 60


def test_environment():
    assert values.environment(["A=1", "B=", "C=x=y", "A=2"]) == {"A": "2", "B": "", "C": "x=y"}
    for wrong in ("A", "=x", "1A=x", "A B=x", "Ä=1", "A=" + "x" * 32_769, "A=\0"):
        with pytest.raises(UsageError, match="-e"):
            values.environment([wrong])


def test_metadata():
    assert values.metadata(["branch=main", "note=a=b"]) == {"branch": "main", "note": "a=b"}
    for wrong in ("x", "=y", " =y", "k" * 257 + "=v", "k=" + "v" * 4001):
        with pytest.raises(UsageError, match="--meta"):
            values.metadata([wrong])


def test_names_are_one_line():
    assert values.one_line("--name", "Nightly ☾") == "Nightly ☾"
    assert values.one_line("--name", None) is None
    for wrong in ("a\nb", "\x1b[31m", "", " ", "x" * 257):
        with pytest.raises(UsageError, match="--name"):
            values.one_line("--name", wrong)


@pytest.mark.parametrize("value", ["a.b c*>", "../..", "日本 🎌", "x" * 256, "'; drop", "--flag"])
def test_ids_may_be_nearly_anything(value: str):
    assert values.identifier("--org-id", value) == value


@pytest.mark.parametrize("value", ["", "a\x00", "a\nb", "\x1b", "\x85", "x" * 257, "\udcff"])
def test_ids_without_control_characters_and_of_bounded_length(value: str):
    with pytest.raises(UsageError, match="--org-id"):
        values.identifier("--org-id", value)


def test_a_report_that_cannot_be_written_is_known_beforehand(tmp_path: Path):
    assert values.writable("--junit", tmp_path / "r.xml") == tmp_path / "r.xml"
    assert values.writable("--junit", None) is None
    for wrong in (tmp_path, tmp_path / "none" / "r.xml"):
        with pytest.raises(UsageError, match="cannot be written"):
            values.writable("--junit", wrong)


@pytest.mark.parametrize("name", ["old.xml", "new.xml"])
def test_a_report_that_may_not_be_written_is_known_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    (tmp_path / "old.xml").touch()

    def forbidden(path: Path, mode: int) -> bool:  # if that is root, whoever runs the tests may do all
        return mode != os.W_OK

    monkeypatch.setattr(os, "access", forbidden)
    with pytest.raises(UsageError, match="cannot be written: Permission denied"):
        values.writable("--junit", tmp_path / name)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("a.py b.py", ["a.py", "b.py"]),
        ("my test.py\n", ["my test.py"]),
        ("my test.py\n\nb.py", ["my test.py", "b.py"]),
        ("'my test.py' b.py", ["my test.py", "b.py"]),
        ("\"it's a test.py\"  'K=a b'", ["it's a test.py", "K=a b"]),
        ('CONFIG={"a":"b"} note=don\'t', ['CONFIG={"a":"b"}', "note=don't"]),
        ("'a'b \"c", ["'a'b", '"c']),
        ("  ", []),
    ],
)
def test_what_a_variable_says_of_an_option_that_may_be_repeated(said: str, words: list[str]):
    assert lines_or_words(said) == words
