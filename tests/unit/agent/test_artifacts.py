"""What a job left: names made safe, limits kept, nothing followed out of its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.attempts import artifacts
from agent.attempts.artifacts import gather, safe_name
from agent.config.settings import ArtifactLimits
from agent.launch import JobDirs
from agent.storage.removal import remove_tree
from bus_schemas.artifacts import is_safe_name
from tests.unit.agent.test_removal import make_deep


@given(st.text(max_size=400))
def test_any_name_is_made_safe(name: str) -> None:
    assert is_safe_name(safe_name(name))


@given(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}\.png)?", fullmatch=True))
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name


def test_what_would_leave_the_folder_is_not_safe() -> None:
    for name in (
        "../x",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "",
        "a\\b",
        "c:x",
        "x\n",
        "x\x1b[2J",
        "a.",
        "x" * 300,
    ):
        assert not is_safe_name(name), name


def test_files_are_gathered_reports_first_and_links_left(tmp_path: Path) -> None:
    dirs = JobDirs(root=tmp_path / "job")
    dirs.create()
    (tmp_path / "outside").write_text("secret")
    (dirs.artifacts / "sub").mkdir()
    (dirs.artifacts / "sub" / "b.txt").write_text("b")
    (dirs.artifacts / "A.txt").write_text("a")
    (dirs.artifacts / "link").symlink_to(tmp_path / "outside")
    (dirs.artifacts / "folder").symlink_to(tmp_path)
    os.mkfifo(dirs.artifacts / "pipe")
    dirs.junit.write_text("<testsuite/>")
    found = gather(dirs, ArtifactLimits())
    assert [one.name for one in found.kept] == ["reports/junit.xml", "A.txt", "sub/b.txt"]
    assert found.left_out == []
    few = gather(dirs, ArtifactLimits(count=1))
    assert [one.name for one in few.kept] == ["reports/junit.xml"]
    assert len(few.left_out) == 2


def test_of_a_flood_of_files_the_first_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_MAX_ENTRIES", 5)
    dirs = JobDirs(root=tmp_path / "job")
    dirs.create()
    for code in range(1, 10):  # all of them become `_`
        (dirs.artifacts / chr(code)).write_text("x")
    found = gather(dirs, ArtifactLimits(count=3))
    assert [one.name for one in found.kept] == ["_", "_~2", "_~3"]
    assert len(found.left_out) == 3
    assert found.left_out[-1] == "_ and what follows: only 5 files are looked at"


def test_folders_deeper_than_any_name_are_not_looked_into(tmp_path: Path) -> None:
    dirs = JobDirs(root=tmp_path)
    dirs.create()
    make_deep(dirs.artifacts, 1200)
    (dirs.artifacts / "shot.png").write_bytes(b"x")
    assert [found.name for found in gather(dirs, ArtifactLimits()).kept] == ["shot.png"]
    remove_tree(dirs.root)
