"""Selects tests: turns files, globs and folders into names relative to the bundle's root.

- A file is taken by its name, whatever it is and whether ignored or not.
- A glob (`*`, `?`, `[…]`, `**`) gives the files it matches, in sorted order, but none below `.git`,
  `node_modules`, `__pycache__` or a virtual environment unless the pattern names that folder.
- A folder gives the files under it that are tests by their name in some runner's convention
  (`test_*.py`, `*_test.py`, `*.spec.ts`, `*.test.js`, …) and that are not ignored; those of packages in it
  are not, even where they are packed.

The root is the nearest folder at or above all tests that holds one of `ROOT_MARKERS`; without such a
folder it is the current folder, or the tests' own common folder when they lie outside of that.
"""

from __future__ import annotations

import functools
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qgjob.bundle.ignores import IgnoreRules, is_skipped, repository_top
from qgjob.bundle.walk import walk
from qgjob.errors import NoTestsError, UsageError

ROOT_MARKERS = ("qgjob.toml", "package.json", "pyproject.toml", ".git")

TEST_NAME = re.compile(r"(test_.*|.*_test)\.py|.*\.(spec|test)\.[cm]?[jt]sx?")
"""File names that are tests by convention: what a folder is searched for."""

_PART = re.compile(r"(.+?\.\w+)(?:::.+|(?::\d+)+)", re.DOTALL)
"""How pytest and Playwright name a case of a file."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The tests of a submit, in the order asked for, each once; names relative to `root`, POSIX."""

    root: Path
    tests: tuple[str, ...]

    @property
    def folder(self) -> str | None:
        """Where the root lies in its repository, POSIX; None at its top, and without a repository."""
        top = repository_top(self.root)
        return None if top in {None, self.root} else self.root.relative_to(top or self.root).as_posix()


def collect_tests(patterns: Sequence[str], cwd: Path) -> Selection:
    """Resolve what the user named, relative to `cwd`.

    Raises `NoTestsError` naming the pattern that matches nothing, `UsageError` for a name that cannot be
    sent.
    """
    if not patterns:
        raise NoTestsError("no test was named", hint="Name files, folders or globs with --test.")
    cwd = Path(os.path.abspath(cwd))  # noqa: PTH100 - links in it stay as they are
    paths: dict[str, None] = {}
    for pattern in patterns:
        found = list(_resolve(pattern, cwd))
        if not found:
            raise _nothing(pattern, cwd)
        paths |= dict.fromkeys(found)
    root = find_root(paths, cwd)
    return Selection(root, tuple(_name_in(root, path) for path in paths))


def find_root(paths: Iterable[str], cwd: Path) -> Path:
    """The root for tests at these absolute paths."""
    common = Path(os.path.commonpath([os.path.dirname(path) for path in paths]))  # noqa: PTH120
    for folder in (common, *common.parents):
        if any((folder / marker).exists() for marker in ROOT_MARKERS):
            return folder
    return cwd if common.is_relative_to(cwd) else common


def _resolve(pattern: str, cwd: Path) -> Iterator[str]:
    path = os.path.normpath(os.path.join(cwd, pattern))  # noqa: PTH118
    if not pattern or "\0" in pattern:
        return
    if os.path.isfile(path):  # noqa: PTH113
        yield path
    elif os.path.isdir(path):  # noqa: PTH112
        yield from _tests_under(Path(path))
    elif glob.has_magic(pattern):
        named = set(pattern.split("/"))
        skipped = functools.cache(is_skipped)
        # The folder itself is no part of the pattern, whatever characters it has.
        for match in sorted(glob.glob(pattern, root_dir=cwd, recursive=True)):  # noqa: PTH207
            folders = match.split("/")[:-1]
            above = (
                "/".join(folders[: depth + 1]) for depth, name in enumerate(folders) if name not in named
            )
            if not any(skipped(os.path.join(cwd, folder)) for folder in above):  # noqa: PTH118
                path = os.path.normpath(os.path.join(cwd, match))  # noqa: PTH118
                if os.path.isfile(path):  # noqa: PTH113
                    yield path


def _tests_under(folder: Path) -> Iterator[str]:
    entries = walk(folder, replace(IgnoreRules.for_root(folder), packages=False))
    names = (entry.name for entry in entries if entry.target is None)
    for name in sorted(name for name in names if TEST_NAME.fullmatch(name.rpartition("/")[2])):
        yield str(folder / name)


def _nothing(pattern: str, cwd: Path) -> NoTestsError:
    if not pattern:
        return NoTestsError("a test's name is empty", hint="Is a variable unset?")
    path = cwd / pattern.replace("\0", "")
    if path.is_dir():
        return NoTestsError(
            f"no test was found under the folder {pattern}",
            hint="A folder is searched for test_*.py, *_test.py, *.spec.ts, *.test.js and the like; "
            "name others with a glob.",
        )
    hint = f"It was looked up from {cwd}."
    if (part := _PART.fullmatch(pattern)) and (cwd / part[1]).is_file():
        hint = (
            f"A job runs a whole file; the runner is told behind -- what of it: --test {part[1]} -- -k NAME "
            "with pytest, -g TITLE with Playwright."
        )
    elif glob.has_magic(pattern):
        return NoTestsError(f"no file matches {pattern}", hint=hint)
    return NoTestsError(f"there is no test file {pattern}", hint=hint)


def _name_in(root: Path, path: str) -> str:
    name = Path(path).relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        raise UsageError(f"the test file's name is not UTF-8: {shown}", hint="Rename it.") from None
    return name
