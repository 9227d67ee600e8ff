"""Removes folders that jobs and builds leave behind, whatever their permissions and depth."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from agent.storage.room import is_short

FOLDER_MODE = 0o755
_LOOK_S: Final = 0.5
_MAX_PATH: Final = 2048
"""Half of what the kernel takes: a folder whose path is longer is moved up before it is looked into."""

_Made = TypeVar("_Made")


def remove_tree(path: Path) -> None:
    """Remove a file, link or folder; nothing happens when it is not there, or cannot be removed at all.

    Links are not followed. A folder that a job made unwritable is made writable first. Neither does a tree
    that is deeper than paths may be long stop it, nor does it hold a descriptor for each level. Blocking.
    """
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    root = str(path)
    waiting, found = [root], list[str]()
    while waiting:
        folder = waiting.pop()
        found.append(folder)
        with contextlib.suppress(OSError):
            waiting += _empty(folder, root)
    for folder in reversed(found):
        with contextlib.suppress(OSError):
            _allowed(os.path.dirname(folder), lambda folder=folder: os.rmdir(folder))  # noqa: PTH106, PTH120


class Trash:
    """Where trees wait to be removed beside other work: a slow disk takes a minute for ten thousand files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, path: Path) -> None:
        """Have a file or folder away from its place, which is free then."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.rename(self._folder / uuid.uuid4().hex)
        except FileNotFoundError:
            pass
        except OSError:  # another file system, or a folder that is not ours
            remove_tree(path)

    def make_room(self) -> None:
        """Begin to remove what is in it; jobs would fail on a full disk, there it is waited for. Blocking."""
        emptying = self.empty()
        while emptying.is_alive() and is_short(self._folder.parent):
            emptying.join(_LOOK_S)

    def empty(self) -> threading.Thread:
        """Begin to remove what is in it; a process that ends meanwhile leaves the rest to the next one."""
        emptying = threading.Thread(target=remove_tree, args=(self._folder,), name="trash", daemon=True)
        emptying.start()
        return emptying


def _empty(folder: str, root: str) -> list[str]:
    """Remove what is no folder from a folder; returns the folders in it, where they are now."""
    folders: list[str] = []
    for name, is_folder in _allowed(folder, lambda: _listed(folder)):
        item = f"{folder}/{name}"
        with contextlib.suppress(OSError):
            if not is_folder:
                _allowed(folder, lambda item=item: os.unlink(item))  # noqa: PTH108
                continue
            if len(item) > _MAX_PATH:
                os.chmod(item, FOLDER_MODE)  # noqa: PTH101  (moving it writes into it)
                higher = f"{root}/{uuid.uuid4().hex}"
                os.rename(item, higher)  # noqa: PTH104
                item = higher
            folders.append(item)
    return folders


def _listed(folder: str) -> list[tuple[str, bool]]:
    with os.scandir(folder) as items:
        return [(item.name, item.is_dir(follow_symlinks=False)) for item in items]


def _allowed(folder: str, act: Callable[[], _Made]) -> _Made:
    """Do something in a folder; when its mode is against that, the mode is changed."""
    try:
        return act()
    except PermissionError:
        os.chmod(folder, FOLDER_MODE)  # noqa: PTH101
        return act()
