"""Which files a bundle leaves out: `.gitignore` and `.qgjobignore`, nested, with git's meaning.

In one folder `.qgjobignore` comes after `.gitignore`, so `!dist/` in it brings back what git ignores.
`.gitignore` files above the root count too, up to the repository's top, unless they ignore the root
itself. Git's global and per-clone exclude files do not.

Packages of JavaScript stay at home too, unless a line such as `!node_modules` of `.qgjobignore` names them.
What git ignores counts neither for them nor inside, as `dist` and the like is what they consist of; inside
count lines of `.qgjobignore` with a path through `node_modules`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qgjob.bundle.gitignore import IgnoreFile

_PACKAGES = "node_modules"
ALWAYS_SKIPPED = frozenset({".git", _PACKAGES, ".venv", "__pycache__"})
_ENVIRONMENT = "pyvenv.cfg"
"""Stands in every virtual environment of Python's, whatever its folder is called; none works elsewhere."""
_GITS, _OURS = ".gitignore", ".qgjobignore"
_NEVER_IN_PACKAGES = IgnoreFile.parse(f".git\n/.cache\n**/{_PACKAGES}/.cache\n")


def is_skipped(folder: str) -> bool:
    """Whether a folder, given by its path, never belongs to a bundle."""
    path = Path(folder)
    return path.name in ALWAYS_SKIPPED or (path / _ENVIRONMENT).is_file()


@dataclass(frozen=True, slots=True)
class _Source:
    """An ignore file, `way` leading from its folder to the present one; `ours`: none of git's."""

    way: str
    file: IgnoreFile
    ours: bool


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in one folder: its own, and those of the folders above.

    `sources` come innermost first. `packages` says whether lines may bring packages along, `in_packages`
    whether the folder is one of those that were.
    """

    sources: tuple[_Source, ...] = ()
    packages: bool = True
    in_packages: bool = False

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

        `more`: lines that count as if they stood at the end of its `.qgjobignore`.
        """
        files = ((None if only_git else _read(folder, _OURS, more), True), (_read(folder, _GITS), False))
        own = (_Source("", file, ours) for file, ours in files if file is not None)
        return replace(self, sources=(*own, *self.sources))

    def below(self, folder: Path) -> IgnoreRules:
        """What holds in a folder of this one that belongs to the bundle."""
        rules = self.seen_from(folder.name)
        if self.in_packages:
            return rules
        if not self.brings_packages(folder.name):
            return rules.enter(folder)
        ours = (replace(it, file=it.file.through(_PACKAGES)) for it in rules.sources if it.ours)
        never = _Source("", _NEVER_IN_PACKAGES, ours=True)
        return IgnoreRules((never, *ours), packages=False, in_packages=True)

    def seen_from(self, name: str) -> IgnoreRules:
        """The same rules, seen from the folder called `name` in the present one."""
        return replace(self, sources=tuple(replace(it, way=f"{it.way}{name}/") for it in self.sources))

    def takes(self, name: str, *, is_dir: bool, skipped: bool) -> bool:
        """Whether the entry `name` of this folder belongs to a bundle; `skipped` ones do only in packages."""
        if self.brings_packages(name):
            return True
        return (self.in_packages or not skipped) and not self.ignores(name, is_dir=is_dir)

    def ignores(self, name: str, *, is_dir: bool) -> bool:
        """Whether the entry `name` of this folder is ignored: the innermost rule that speaks decides."""
        said = (it.file.says(it.way + name, is_dir=is_dir) for it in self.sources)
        return next((ignored for ignored in said if ignored is not None), False)

    def brings_packages(self, name: str) -> bool:
        """Whether `name` is a folder of packages to be brought along: the innermost line of ours decides."""
        if name != _PACKAGES or not self.packages:
            return False
        said = (it.file.brings_back(it.way + name) for it in self.sources if it.ours)
        return next((brought for brought in said if brought is not None), False)


def repository_top(root: Path) -> Path | None:
    """The top of the git repository that a folder is in, None without one."""
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)


def _read(folder: Path, name: str, more: Sequence[str] = ()) -> IgnoreFile | None:
    texts: list[str] = []
    with contextlib.suppress(OSError):
        texts.append(Path(folder, name).read_text("utf-8", "surrogateescape"))
    texts += more
    return IgnoreFile.parse("\n".join(texts)) if texts else None
