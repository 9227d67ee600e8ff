"""The patterns of `.gitignore`, with git's meaning: gitignore(5), and git's `wildmatch.c` for the details.

A pattern is asked about one entry alone, never about what lies above it: git does not look into an ignored
folder, and neither does the walk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NEVER = "(?!)"
_POSIX_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r" \t\n\v\f\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file. `anchored` patterns match the whole path, others the last name.

    `names` are its parts as they are written.
    """

    regex: re.Pattern[str]
    negated: bool
    dir_only: bool
    anchored: bool
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The patterns of one folder, last line first."""

    patterns: tuple[Pattern, ...]

    @classmethod
    def parse(cls, text: str) -> IgnoreFile:
        """Read an ignore file. What git cannot read as a pattern matches nothing, as in git."""
        lines = text.removeprefix("\ufeff").split("\n")
        parsed = (parse_pattern(line.removesuffix("\r")) for line in reversed(lines))
        return cls(tuple(pattern for pattern in parsed if pattern is not None))

    def says(self, path: str, *, is_dir: bool) -> bool | None:
        """Whether `path`, relative to the file's folder, is ignored; None when no pattern speaks of it."""
        pattern = self._speaking(path, is_dir=is_dir)
        return None if pattern is None else not pattern.negated

    def brings_back(self, path: str) -> bool | None:
        """Whether the folder `path` is brought back by its very name, and not merely by a wildcard.

        None when no pattern speaks of it.
        """
        pattern = self._speaking(path, is_dir=True)
        return None if pattern is None else pattern.negated and pattern.names[-1] == path.rpartition("/")[2]

    def through(self, name: str) -> IgnoreFile:
        """Those of the patterns that name a path through a folder `name`."""
        return IgnoreFile(tuple(pattern for pattern in self.patterns if name in pattern.names[:-1]))

    def _speaking(self, path: str, *, is_dir: bool) -> Pattern | None:
        name = path.rpartition("/")[2]
        for pattern in self.patterns:
            if (is_dir or not pattern.dir_only) and pattern.regex.fullmatch(
                path if pattern.anchored else name
            ):
                return pattern
        return None


def parse_pattern(line: str) -> Pattern | None:
    """One line; None for an empty one and a comment."""
    line = _without_trailing_spaces(line)
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line.removeprefix("!")
    dir_only = line.endswith("/")
    line = line.removesuffix("/")
    anchored = "/" in line
    return Pattern(
        regex=re.compile(translate(line.removeprefix("/")), re.DOTALL),
        negated=negated,
        dir_only=dir_only,
        anchored=anchored,
        names=tuple(line.split("/")),
    )


def translate(glob: str) -> str:
    """A glob as a regular expression that has to match in full."""
    parts: list[str] = []
    at = 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "*":
            start = at - 1
            while glob.startswith("*", at):
                at += 1
            whole_name = (start == 0 or glob[start - 1] == "/") and glob[at : at + 1] in {"", "/"}
            if at - start == 1 or not whole_name:
                parts.append("[^/]*")
            elif at == len(glob):
                parts.append(".*")
            else:
                at += 1
                parts.append("(?:.*/)?")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[":
            characters, at = _character_class(glob, at)
            parts.append(characters)
        elif char == "\\":
            parts.append(re.escape(glob[at]) if at < len(glob) else _NEVER)
            at += 1
        else:
            parts.append(re.escape(char))
    return "".join(parts)


def _character_class(glob: str, at: int) -> tuple[str, int]:
    """The class that begins before `at`, and where it ends. One that is not closed matches nothing."""
    unreadable = (_NEVER, len(glob))
    negated = glob[at : at + 1] in {"!", "^"}
    at += negated
    members: list[str] = []
    previous = ""
    first = True
    while first or glob[at : at + 1] != "]":
        first = False
        char = glob[at : at + 1]
        if char == "\\":
            at += 1
            char = glob[at : at + 1]
        elif char == "-" and previous and glob[at + 1 : at + 2] not in {"", "]"}:
            at += 1 + (glob[at + 1] == "\\")
            last = glob[at : at + 1]
            if not last:
                return unreadable
            if previous <= last:
                members.append(f"{re.escape(previous)}-{re.escape(last)}")
            previous = ""
            at += 1
            continue
        elif glob.startswith("[:", at):
            end = glob.find("]", at + 2)
            if end < 0:
                return unreadable
            if glob[end - 1] == ":" and end - 1 >= at + 2:
                if (known := _POSIX_CLASSES.get(glob[at + 2 : end - 1])) is None:
                    return unreadable
                members.append(known)
                previous = ""
                at = end + 1
                continue
        if not char:
            return unreadable
        members.append(re.escape(char))
        previous = char
        at += 1
    inside = "".join(members)
    if negated:
        return f"(?!/)[^{inside}]" if inside else "[^/]", at + 1
    return f"(?!/)[{inside}]" if inside else _NEVER, at + 1


def _without_trailing_spaces(line: str) -> str:
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if backslashes % 2 and bare != line else bare
