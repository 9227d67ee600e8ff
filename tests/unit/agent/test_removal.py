"""Whatever a job left goes away: an agent that cannot remove it could not even start again."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from agent.storage import removal, room
from agent.storage.removal import Trash, remove_tree


def make_deep(root: Path, levels: int) -> None:
    """Folders in folders, as a job makes them that changes into each: no path need be that short."""
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(root)
        for _ in range(levels):
            Path("folder").mkdir()
            os.chdir("folder")
        Path("file").write_text("x")
    finally:
        os.fchdir(here)
        os.close(here)


@pytest.mark.parametrize("levels", [3, 1200])
def test_a_tree_of_any_depth_goes(tmp_path: Path, levels: int) -> None:
    root = tmp_path / "work"
    root.mkdir()
    make_deep(root, levels)
    (root / "file").write_text("x")
    remove_tree(root)
    assert list(tmp_path.iterdir()) == []


def test_modes_are_no_hindrance(tmp_path: Path) -> None:
    root = tmp_path / "work"
    for mode in (0o000, 0o400, 0o500, 0o600):
        folder = root / f"{mode:o}" / "inner"
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
        folder.chmod(mode)
        folder.parent.chmod(mode)
    remove_tree(root)
    assert not root.exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    root = tmp_path / "work"
    root.mkdir()
    (root / "link").symlink_to(kept)
    remove_tree(root)
    (tmp_path / "alone").symlink_to(kept)
    remove_tree(tmp_path / "alone")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").exists()


def test_trash_makes_room_at_once_and_goes_later(tmp_path: Path) -> None:
    trash, place = Trash(tmp_path / "trash"), tmp_path / "work"
    trash.take(place)
    for _ in range(2):
        (place / "s0").mkdir(parents=True)
        (place / "s0" / "a.txt").touch()
        trash.take(place)
        assert not place.exists()
    assert len([*(tmp_path / "trash").rglob("a.txt")]) == 2
    Trash(tmp_path / "trash").empty().join(20)  # also what an agent left that was killed meanwhile
    assert [*tmp_path.iterdir()] == []


def test_a_disk_without_room_for_jobs_has_the_trash_removed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trash, gate = Trash(tmp_path / "trash"), threading.Event()

    def remove(path: Path) -> None:
        gate.wait(20)
        remove_tree(path)

    monkeypatch.setattr(removal, "remove_tree", remove)
    (tmp_path / "work").mkdir()
    trash.take(tmp_path / "work")
    trash.make_room()  # there is some: the gate is closed yet
    assert (tmp_path / "trash").exists()
    monkeypatch.setattr(room, "MIN_FREE_BYTES", 2**62)
    threading.Timer(0.05, gate.set).start()
    trash.make_room()
    assert [*tmp_path.iterdir()] == []


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
