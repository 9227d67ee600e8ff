from __future__ import annotations

from pathlib import Path

import pytest

from qgjob.cli import options as opt
from qgjob.errors import ExitCode, UsageError


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("10", 10), (" 7 ", 7), ("high", 9), ("Medium", 5), ("low", 2)]
)
def test_priorities(text: str, number: int):
    assert opt.priority(text) == number


@pytest.mark.parametrize("text", ["0", "11", "-1", "5.5", "", "urgent", "٣", "1" * 5000, "1_0"])
def test_wrong_priorities_are_named(text: str):
    with pytest.raises(UsageError, match="whole number from 1") as caught:
        opt.priority(text)
    assert caught.value.exit_code == ExitCode.USAGE


def test_targets():
    assert opt.target(None) is None
    assert opt.target("device") == "device"
    for wrong in ("", "phone", "Device"):
        with pytest.raises(UsageError, match="emulator, device, simulator"):
            opt.target(wrong)


def test_labels_keep_their_order_and_come_once():
    assert opt.labels(["b", "a", "b"]) == ("b", "a")
    assert opt.label_list("--labels", " a, b ,,c") == ("a", "b", "c")
    for wrong in ("", "Upper", "Serial:R58M", "a b", "-x", "x" * 65, "a\n", "a:R58M\n"):
        with pytest.raises(UsageError, match="--require"):
            opt.labels([wrong])


def test_behind_a_colon_a_label_keeps_its_case():
    assert opt.labels(["serial:R58M", "lab/rack:A:b"]) == ("serial:R58M", "lab/rack:A:b")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200)])
def test_durations(text: str, seconds: float):
    assert opt.duration("--timeout", text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "15 m", "1w", "nan", "inf", "8d"])
def test_a_wrong_duration_names_its_option(text: str):
    with pytest.raises(UsageError, match="--timeout"):
        opt.duration("--timeout", text)


def test_grace_may_be_off_or_nothing():
    assert opt.grace("off") is None
    assert opt.grace("0") == 0
    assert opt.grace("60s") == 60


def test_environment():
    assert opt.environment(["A=1", "B=", "C=x=y", "A=2"]) == {"A": "2", "B": "", "C": "x=y"}
    for wrong in ("A", "=x", "1A=x", "A B=x", "Ä=1", "A=" + "x" * 32_769, "A=\0"):
        with pytest.raises(UsageError, match="-e"):
            opt.environment([wrong])


def test_metadata():
    assert opt.metadata(["branch=main", "note=a=b"]) == {"branch": "main", "note": "a=b"}
    for wrong in ("x", "=y", " =y", "k" * 257 + "=v", "k=" + "v" * 4001):
        with pytest.raises(UsageError, match="--meta"):
            opt.metadata([wrong])


def test_names_are_one_line():
    assert opt.one_line("--name", "Nightly ☾") == "Nightly ☾"
    assert opt.one_line("--name", None) is None
    for wrong in ("a\nb", "\x1b[31m", "", " ", "x" * 257):
        with pytest.raises(UsageError, match="--name"):
            opt.one_line("--name", wrong)


@pytest.mark.parametrize("value", ["a.b c*>", "../..", "日本 🎌", "x" * 256, "'; drop", "--flag"])
def test_ids_may_be_nearly_anything(value: str):
    assert opt.identifier("--org-id", value) == value


@pytest.mark.parametrize("value", ["", "a\x00", "a\nb", "\x1b", "\x85", "x" * 257, "\udcff"])
def test_ids_without_control_characters_and_of_bounded_length(value: str):
    with pytest.raises(UsageError, match="--org-id"):
        opt.identifier("--org-id", value)


def test_a_report_that_cannot_be_written_is_known_beforehand(tmp_path: Path):
    assert opt.writable("--junit", tmp_path / "r.xml") == tmp_path / "r.xml"
    assert opt.writable("--junit", None) is None
    for wrong in (tmp_path, tmp_path / "none" / "r.xml"):
        with pytest.raises(UsageError, match="cannot be written"):
            opt.writable("--junit", wrong)
