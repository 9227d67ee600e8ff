"""Labs come from a number, a file, or either with some slots more."""

from __future__ import annotations

from pathlib import Path

import pytest

from qgjob.errors import UsageError
from qgjob.simulate.engine import ANY_TARGET, Lab
from qgjob.simulate.labs import add_slots, describe, read_labels

EMULATOR, DEVICE = frozenset({"emulator"}), frozenset({"device", "android-14"})

TOML = """
[[slots]]
labels = ["emulator"]
count = 2

[[slots]]
labels = ["device", "android-14"]
install_seconds = 45
"""


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_toml_file_says_labels_number_and_install(tmp_path: Path) -> None:
    lab = read_labels(written(tmp_path, "lab.toml", TOML), 20.0)
    assert lab.slots == (EMULATOR, EMULATOR, DEVICE)
    assert [lab.install_on(slot) for slot in range(3)] == [20.0, 20.0, 45.0]
    assert describe(lab) == "3 slots: 2 emulator, 1 android-14+device"


def test_another_file_has_a_line_for_each_slot(tmp_path: Path) -> None:
    lab = read_labels(
        written(tmp_path, "lab.txt", "emulator # rack 1\n\n# rack 2\ndevice, android-14\n"), 20.0
    )
    assert lab == Lab((EMULATOR, DEVICE), 20.0)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("lab.txt", "# none\n", "names no slot"),
        ("lab.txt", "emulator\na b\n", "lab.txt, line 2: 'a b' is not a label"),
        ("lab.toml", "slots = 3", "needs tables"),
        ("lab.toml", "x = 1\n" + TOML, "needs tables"),
        ("lab.toml", "[[slots]", "is not TOML"),
        ("lab.toml", "[[slots]]\nlabels = 'a'", "the 1. .*labels must be a list"),
        ("lab.toml", "[[slots]]\nlabels = ['a']\ncount = true", "count is True"),
        ("lab.toml", "[[slots]]\nlabels = ['a']\ncount = 5001", "count is 5001"),
        ("lab.toml", "[[slots]]\nlabels = ['a']\ncount = 5000\n" * 2, "more than 5,000 slots"),
        ("lab.toml", "[[slots]]\nlabels = ['a']\ninstall_seconds = nan", "install_seconds is nan"),
        ("lab.toml", "[[slots]]\nlabels = ['a']\ninstal_seconds = 3", "instal_seconds is unknown"),
        ("lab.toml", "slots = [3]", "is no table"),
    ],
)
def test_a_bad_labels_file_is_refused(tmp_path: Path, name: str, text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        read_labels(written(tmp_path, name, text), 20.0)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.txt").write_bytes(b"\xff")
    for name, what in (("none.toml", "cannot be read"), ("lab.txt", "not text")):
        with pytest.raises(UsageError, match=what):
            read_labels(tmp_path / name, 20.0)


def test_more_slots_are_like_those_with_the_same_labels(tmp_path: Path) -> None:
    lab = read_labels(written(tmp_path, "lab.toml", TOML), 20.0)
    more = add_slots(lab, "2:android-14,device")
    assert more.lab.slots == (*lab.slots, DEVICE, DEVICE)
    assert more.lab.install_on(4) == 45.0
    assert more.name == "5 slots, 2 more with android-14, device"
    assert add_slots(Lab.uniform(3, 9.0), "1").lab == Lab((ANY_TARGET,) * 4, 9.0)


@pytest.mark.parametrize("text", ["", "0", "x", "-1", "4;emulator", "4:a b", "4999"])
def test_what_cannot_be_added_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--add"):
        add_slots(Lab.uniform(3, 9.0), text)
