"""Walks a bundle's root: every file and link in it that is not ignored."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qgjob.bundle.ignores import ALWAYS_SKIPPED, IgnoreRules, is_skipped
from qgjob.errors import UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a link when `target` is set; `name` is relative to the root, POSIX."""

    name: str
    size: int = 0
    executable: bool = False
    target: str | None = None


def walk(root: Path, rules: IgnoreRules | None, *, ignore: Sequence[str] = ()) -> Iterator[Entry]:
    """All entries under `root`, in no particular order; with rules None, ignored ones too.

    `ignore`: further lines of the root's own ignore file.

    Sockets, pipes and devices are passed over. Raises `UsageError` for a link that leaves the root and
    for a folder that cannot be read.
    """
    real_root = os.path.realpath(root)
    waiting: list[tuple[str, IgnoreRules | None]] = [("", rules and rules.enter(root, more=ignore))]
    while waiting:
        prefix, rules = waiting.pop()
        for item in _scan(root, prefix):
            name = prefix + item.name
            if item.is_symlink():
                skipped = item.name in ALWAYS_SKIPPED
                if rules is None or rules.takes(item.name, is_dir=False, skipped=skipped):
                    yield link_entry(root, real_root, name)
            elif item.is_dir(follow_symlinks=False):
                if rules is None or rules.takes(item.name, is_dir=True, skipped=is_skipped(item.path)):
                    waiting.append((name + "/", rules and rules.below(Path(item.path))))
            elif item.is_file(follow_symlinks=False) and (
                rules is None or not rules.ignores(item.name, is_dir=False)
            ):
                yield _file_entry(name, item.stat(follow_symlinks=False))


def named_entries(root: Path, name: str) -> Iterator[Entry]:
    """The file `name` whether ignored or not, with the links that lead to it."""
    real_root = os.path.realpath(root)
    for _ in range(40):
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            part = "/".join(parts[:depth])
            if (root / part).is_symlink():
                entry = link_entry(root, real_root, part)
                yield entry
                base = os.path.join(os.path.dirname(part), entry.target or "")  # noqa: PTH118, PTH120
                name = os.path.normpath(os.path.join(base, *parts[depth:]))  # noqa: PTH118
                break
        else:
            yield _file_entry(name, (root / name).stat(follow_symlinks=False))
            return


def link_entry(root: Path, real_root: str, name: str) -> Entry:
    """A link as it is stored: its target relative, and never outside on its way."""
    path = root / name
    target = os.readlink(path)  # noqa: PTH115 - the text itself is wanted
    where, folder = os.path.realpath(path), os.path.realpath(path.parent)
    if not _is_in(real_root, where):
        raise UsageError(
            f"{name} is a link that leaves the bundle: it leads to {target}, outside {root}",
            hint="Copy the file into the bundle, or list the link in .qgjobignore.",
        )
    if os.path.isabs(target) or _goes_out(real_root, folder, target):  # noqa: PTH117
        target = os.path.relpath(where, folder)
    return Entry(name=name, target=target)


def _goes_out(real_root: str, folder: str, target: str) -> bool:
    """Whether the way of a link is outside for a moment, as `../NAME-OF-THE-ROOT/x` is."""
    where = folder
    for part in target.split("/"):
        where = os.path.realpath(os.path.join(where, part))  # noqa: PTH118
        if not _is_in(real_root, where):
            return True
    return False


def _is_in(real_root: str, where: str) -> bool:
    return where == real_root or where.startswith(real_root + os.sep)


def _scan(root: Path, prefix: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, prefix)) as items:  # noqa: PTH118
            return list(items)
    except OSError as error:
        raise UsageError(
            f"cannot read the folder {prefix or root}: {error.strerror}",
            hint="Make it readable, or list it in .qgjobignore.",
        ) from error


def _file_entry(name: str, status: os.stat_result) -> Entry:
    return Entry(name=name, size=status.st_size, executable=bool(status.st_mode & stat.S_IXUSR))
