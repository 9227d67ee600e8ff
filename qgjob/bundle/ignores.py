"""Which files stay at home: `.gitignore` and `.qgjobignore`, nested, with git's meaning.

In one folder `.qgjobignore` comes after `.gitignore`, so `!dist/` in it brings back what git ignores.
`.gitignore` files above the root count too, up to the repository's top, unless they ignore the root
itself. Git's global and per-clone exclude files do not.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

ALWAYS_SKIPPED = frozenset({".git", "node_modules", ".venv", "__pycache__"})
IGNORE_FILES = (".gitignore", ".qgjobignore")


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that hold in one folder: its own, and those of the folders above.

    `specs` are pairs, innermost first: the way from the spec's folder to this one, and the spec.
    """

    specs: tuple[tuple[str, GitIgnoreSpec], ...] = ()

    @classmethod
    def for_root(cls, root: Path) -> IgnoreRules:
        """What holds in a root from above it; its own rules come with `enter`."""
        top = _repository_top(root)
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

    def enter(self, folder: Path, *, only_git: bool = False) -> IgnoreRules:
        """These rules and those that `folder`, which they are already seen from, has of its own."""
        spec = _read_spec(folder, IGNORE_FILES[:1] if only_git else IGNORE_FILES)
        return self if spec is None else IgnoreRules((("", spec), *self.specs))

    def seen_from(self, name: str) -> IgnoreRules:
        """The same rules, seen from the folder called `name` in the present one."""
        return IgnoreRules(tuple((f"{prefix}{name}/", spec) for prefix, spec in self.specs))

    def ignores(self, name: str, *, is_dir: bool) -> bool:
        """Whether the entry `name` of this folder is ignored: the innermost rule that speaks decides."""
        suffix = "/" if is_dir else ""
        for prefix, spec in self.specs:
            said = spec.check_file(f"{prefix}{name}{suffix}").include
            if said is not None:
                return said
        return False


def _repository_top(root: Path) -> Path | None:
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)


def _read_spec(folder: Path, names: tuple[str, ...]) -> GitIgnoreSpec | None:
    lines: list[str] = []
    for name in names:
        try:
            text = Path(os.path.join(folder, name)).read_text("utf-8", "surrogateescape")  # noqa: PTH118
        except OSError:
            continue
        lines += [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return None
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - 40 ms that a folder without rules need not pay

    try:
        return GitIgnoreSpec.from_lines(lines)
    except (ValueError, re.error):
        return GitIgnoreSpec.from_lines([line for line in lines if _is_pattern(line)])


def _is_pattern(line: str) -> bool:
    """Git passes over patterns that it cannot read, and so do we."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415

    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True
