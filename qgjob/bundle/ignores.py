"""Which files a bundle leaves out: `.gitignore` and `.qgjobignore`, nested, with git's meaning.

In one folder `.qgjobignore` comes after `.gitignore`, so `!dist/` in it brings back what git ignores.
`.gitignore` files above the root count too, up to the repository's top, unless they ignore the root
itself. Git's global and per-clone exclude files do not. Packages of JavaScript stay at home too, unless a
line such as `!node_modules` names them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qgjob.bundle.gitignore import IgnoreFile

_PACKAGES = "node_modules"
ALWAYS_SKIPPED = frozenset({".git", _PACKAGES, ".venv", "__pycache__"})
_ENVIRONMENT = "pyvenv.cfg"
"""Stands in every virtual environment of Python's, whatever its folder is called; none works elsewhere."""
IGNORE_FILES = (".gitignore", ".qgjobignore")


def is_skipped(folder: str) -> bool:
    """Whether a folder, given by its path, never belongs to a bundle."""
    path = Path(folder)
    return path.name in ALWAYS_SKIPPED or (path / _ENVIRONMENT).is_file()


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in one folder: its own, and those of the folders above.

    `files` are pairs, innermost first: the way from the ignore file's folder to this one, and the file.
    """

    files: tuple[tuple[str, IgnoreFile], ...] = ()

    @classmethod
    def for_root(cls, root: Path) -> IgnoreRules:
        """What holds in a root from above it; its own rules come with `enter`."""
        top = repository_top(root)
        if top is None or top == root:
            return cls()
        folder = top
        rules = cls().enter(top, only_git=True)
        for name in root.relative_to(top).parts:
            if rules.ignores(name, is_dir=True):
                return cls()
            folder = folder / name
            rules = rules.seen_from(name)
            if folder != root:
                rules = rules.enter(folder, only_git=True)
        return rules

    def enter(self, folder: Path, *, only_git: bool = False, more: Sequence[str] = ()) -> IgnoreRules:
        """These rules and those that `folder`, which they are already seen from, has of its own.

        `more`: lines that count as if they stood at the end of its ignore file.
        """
        file = _read(folder, IGNORE_FILES[:1] if only_git else IGNORE_FILES, more)
        return self if file is None else IgnoreRules((("", file), *self.files))

    def seen_from(self, name: str) -> IgnoreRules:
        """The same rules, seen from the folder called `name` in the present one."""
        return IgnoreRules(tuple((f"{prefix}{name}/", file) for prefix, file in self.files))

    def ignores(self, name: str, *, is_dir: bool) -> bool:
        """Whether the entry `name` of this folder is ignored: the innermost rule that speaks decides."""
        for prefix, file in self.files:
            said = file.says(prefix + name, is_dir=is_dir)
            if said is not None:
                return said
        return False

    def brings_packages(self, name: str) -> bool:
        """Whether the entry `name` is a folder of packages that a line names to be brought along."""
        return name == _PACKAGES and any(file.brings_back(prefix + name) for prefix, file in self.files)


def repository_top(root: Path) -> Path | None:
    """The top of the git repository that a folder is in, None without one."""
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)


def _read(folder: Path, names: tuple[str, ...], more: Sequence[str]) -> IgnoreFile | None:
    texts: list[str] = []
    for name in names:
        with contextlib.suppress(OSError):
            texts.append(Path(folder, name).read_text("utf-8", "surrogateescape"))
    texts += more
    return IgnoreFile.parse("\n".join(texts)) if texts else None
