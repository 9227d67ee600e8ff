"""Which file of a shard a test report means: reports name files in their own ways. Pure."""

from __future__ import annotations

from collections.abc import Sequence


class FileNames:
    """Finds the file that a report means.

    A report names a file in its own way (from the folder of a configuration, or absolute): the longest
    common end decides, if it is one file's alone.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self._files = frozenset(files)
        self._by_name: dict[str, list[str]] = {}
        for file in files:
            self._by_name.setdefault(file.rpartition("/")[2], []).append(file)
        self._known: dict[str, str | None] = {}

    def find(self, named: str) -> str | None:
        """The file of that name; None when it is none of them, or which is not known."""
        if named in self._files:
            return named
        if named not in self._known:
            self._known[named] = self._look(named.replace("\\", "/").removeprefix("./"))
        return self._known[named]

    def _look(self, named: str) -> str | None:
        parts = named.split("/")
        best: list[str] = []
        longest = 0
        for file in self._by_name.get(parts[-1], ()):
            common = _common_end(parts, file.split("/"))
            if common > longest:
                best, longest = [file], common
            elif common == longest:
                best.append(file)
        return best[0] if len(best) == 1 else None


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
